/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "tests/sim/sim_fill.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_xva.h"

#define NONE INT64_MIN

struct stream {
    const struct sim_stream_opts *o;
    uint8_t *buf;         /* header, data, header, checksum */
    uint64_t chunk;       /* bytes of a block */
    uint64_t first_small; /* of the first block of all; 0: as others */
    uint64_t first_size;  /* what it was; 0: not sent yet */
    bool all_blocks, sha1;
    int64_t keepalive;  /* after each so many blocks; 0: never */
    int64_t sent;       /* blocks so far */
    uint64_t done, all; /* bytes of disks */
    int64_t bad_checksum, bad_data, no_checksum, drop, repeat, bad_header;
};

static int64_t planned(const struct sim_plan *plan, const char *fault,
                       const char *key, int64_t absent, int64_t otherwise)
{
    const struct sim_hit *hit = sim_fault_planned(plan, fault);

    return hit ? sim_fault_int(hit, key, otherwise) : absent;
}

static int64_t planned_block(const struct sim_plan *plan, const char *fault)
{
    return planned(plan, fault, "block", NONE, 0);
}

static void read_plan(struct stream *s)
{
    const struct sim_plan *p = s->o->plan;
    int64_t chunk = planned(p, "export_chunk", "bytes", SIM_XVA_CHUNK, 65536);

    s->chunk =
        chunk > 0 && chunk <= SIM_XVA_CHUNK ? (uint64_t)chunk : SIM_XVA_CHUNK;
    s->first_small =
        (uint64_t)planned(p, "export_first_small", "bytes", 0, 65536);
    s->all_blocks = sim_fault_planned(p, "export_all_blocks") != NULL;
    s->sha1 = s->o->sha1 || sim_fault_planned(p, "export_sha1");
    s->keepalive = planned(p, "export_keepalive", "every", 0, 1);
    s->bad_checksum = planned_block(p, "export_bad_checksum");
    s->bad_data = planned_block(p, "export_bad_data");
    s->no_checksum = planned_block(p, "export_no_checksum");
    s->drop = planned_block(p, "export_drop_block");
    s->repeat = planned_block(p, "export_repeat_block");
    s->bad_header = planned_block(p, "export_bad_header");
}

/* Is this the block that a fault means? -1: the last of a disk. */
static bool meant(const struct stream *s, int64_t block, bool last)
{
    return block == s->sent || (block == -1 && last);
}

/* Behind data of len bytes at buf + 512: padding, checksum entry. Returns the
 * bytes of it all. */
static size_t close_entry(struct stream *s, const char *id, uint64_t number,
                          size_t len, bool with_checksum)
{
    uint8_t *data = s->buf + SIM_XVA_BLOCK;
    uint8_t *tail = data + sim_xva_padded(len);
    char name[64], sum[41];

    memset(data + len, 0, (size_t)(tail - (data + len)));
    snprintf(name, sizeof(name), "%s/%08llu", id, (unsigned long long)number);
    sim_xva_header(s->buf, name, len, 0);
    if (!with_checksum)
        return (size_t)(tail - s->buf);
    if (s->sha1)
        sim_xva_sha1(data, len, sum);
    else
        sim_xva_xxhash(data, len, sum);
    snprintf(name, sizeof(name), "%s/%08llu.%s", id, (unsigned long long)number,
             s->sha1 ? "checksum" : "xxhash");
    sim_xva_header(tail, name, strlen(sum), 0);
    memset(tail + SIM_XVA_BLOCK, 0, SIM_XVA_BLOCK);
    memcpy(tail + SIM_XVA_BLOCK, sum, strlen(sum));
    return (size_t)(tail - s->buf) + 2 * SIM_XVA_BLOCK;
}

/* The block in the buffer goes out, spoilt if a fault means it. */
static bool send_block(struct stream *s, const char *id, uint64_t number,
                       size_t len, bool last)
{
    uint8_t *data = s->buf + SIM_XVA_BLOCK;
    size_t n = close_entry(s, id, number, len, !meant(s, s->no_checksum, last));
    bool twice = meant(s, s->repeat, last), drop = meant(s, s->drop, last);
    uint8_t *sum = s->buf + n - SIM_XVA_BLOCK;

    if (meant(s, s->bad_checksum, last))
        *sum = *sum == '0' ? '1' : '0';
    if (meant(s, s->bad_data, last))
        data[len / 2] ^= 0x10;
    if (meant(s, s->bad_header, last))
        s->buf[148] ^= 1;
    s->sent++;
    if (s->first_size == 0)
        s->first_size = len;
    return drop || (sim_out_write(s->o->out, s->buf, n) &&
                    (!twice || sim_out_write(s->o->out, s->buf, n)));
}

/* An entry without data, which tells a client that somebody is alive. */
static bool send_empty(struct stream *s, const char *id, uint64_t number)
{
    size_t n = close_entry(s, id, number, 0, true);

    return sim_out_write(s->o->out, s->buf, n);
}

/* May blocks be left out, so that a reader can tell from the numbers how much?
 * Numbers count in blocks of the first one's size. XAPI does not ask; there
 * the first block is never smaller than others that have gaps. */
static bool may_skip(const struct stream *s)
{
    return !s->all_blocks && s->first_size > 0 &&
           s->chunk % s->first_size == 0 &&
           (s->first_size == s->chunk || s->first_small > 0);
}

/* Bytes of holes from `at` on that are left out: whole blocks, and neither the
 * first nor the last of the disk. */
static uint64_t hole_at(const struct stream *s, struct sim_disk *d, uint64_t at)
{
    uint64_t size = sim_disk_size(d), blocks;

    if (at == 0 || !may_skip(s))
        return 0;
    blocks = (sim_disk_next_data(d, at) - at) / s->chunk;
    if (blocks > (size - 1 - at) / s->chunk)
        blocks = (size - 1 - at) / s->chunk;
    return blocks * s->chunk;
}

struct place {
    uint64_t at, number;
};

static bool send_or_skip(struct stream *s, const struct sim_stream_disk *disk,
                         struct place *p, size_t len)
{
    const uint8_t *data = s->buf + SIM_XVA_BLOCK;
    uint64_t size = sim_disk_size(disk->disk);
    bool last = p->at + len == size;

    if (p->at > 0 && !last && may_skip(s) && bytes_all_zero(data, len)) {
        p->number += len / s->first_size;
        p->at += len;
        return true;
    }
    if (!send_block(s, disk->id, p->number++, len, last))
        return false;
    p->at += len;
    if (!s->keepalive || s->sent % s->keepalive || p->at + s->chunk >= size)
        return true;
    return send_empty(s, disk->id, p->number++);
}

static bool disk_run(struct stream *s, const struct sim_stream_disk *disk,
                     struct err *err)
{
    uint64_t size = sim_disk_size(disk->disk), before = s->done;
    struct place p = {0, 0};

    while (p.at < size) {
        uint64_t skip = hole_at(s, disk->disk, p.at), len = s->chunk;

        p.at += skip;
        if (skip > 0)
            p.number += skip / s->first_size;
        if (s->first_size == 0 && s->first_small)
            len = s->first_small;
        if (len > size - p.at)
            len = size - p.at;
        if (sim_disk_read(disk->disk, s->buf + SIM_XVA_BLOCK, p.at, len, err) !=
                ERR_OK ||
            !send_or_skip(s, disk, &p, len))
            return false;
        s->done = before + p.at;
        if (!s->o->progress(s->o->ctx, s->done, s->all))
            return false;
    }
    return true;
}

static bool send_ova(struct stream *s)
{
    const struct sim_hit *hit = sim_fault_planned(s->o->plan, "export_ova");
    const char *text = hit ? sim_fault_text(hit, "text", "") : s->o->ova;
    uint8_t header[SIM_XVA_BLOCK], zeros[SIM_XVA_BLOCK] = {0};
    size_t len = strlen(text);

    sim_xva_header(header, "ova.xml", len, (uint64_t)time(NULL));
    return sim_out_write(s->o->out, header, sizeof(header)) &&
           sim_out_write(s->o->out, text, len) &&
           sim_out_write(s->o->out, zeros, sim_xva_padded(len) - len);
}

static bool send_end(struct stream *s)
{
    const struct sim_hit *tail = sim_fault_planned(s->o->plan, "export_tail");
    uint64_t bytes = tail ? (uint64_t)sim_fault_int(tail, "bytes", 512) : 0;

    memset(s->buf, 0, 2 * SIM_XVA_BLOCK);
    if (!sim_fault_planned(s->o->plan, "export_no_end") &&
        !sim_out_write(s->o->out, s->buf, 2 * SIM_XVA_BLOCK))
        return false;
    while (bytes > 0) {
        size_t n = bytes < SIM_XVA_CHUNK ? (size_t)bytes : SIM_XVA_CHUNK;

        sim_fill_random(s->buf, n, bytes);
        if (!sim_out_write(s->o->out, s->buf, n))
            return false;
        bytes -= n;
    }
    return sim_out_finish(s->o->out);
}

bool sim_stream_run(const struct sim_stream_opts *opts, struct err *err)
{
    struct stream s = {.o = opts};
    bool swap = sim_fault_planned(opts->plan, "export_swap_disks") != NULL;
    bool ok;

    err_clear(err);
    read_plan(&s);
    for (size_t i = 0; i < opts->count; i++)
        s.all += sim_disk_size(opts->disks[i].disk);
    s.buf = sim_mem_new(SIM_XVA_CHUNK + 4 * SIM_XVA_BLOCK);
    ok = send_ova(&s);
    for (size_t i = 0; ok && i < opts->count; i++)
        ok = disk_run(&s, &opts->disks[swap ? opts->count - 1 - i : i], err);
    ok = ok && send_end(&s);
    free(s.buf);
    return ok;
}
