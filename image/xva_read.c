/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   DETECT -> PLAIN | ZSTD -> FAILED
 *
 * A pool that gives up an export stops in the middle of it, writes the text of
 * an HTTP answer 500 into the stream and closes. That text may complete a
 * block, spoil a checksum, look like a header or only be cut-off contents. So
 * the last bytes of the stream are kept, and after a failure some more are
 * taken in; if such a text is found there, it is the error.
 */
#include "image/xva_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/html.h"
#include "image/xva_parse.h"

#define HEAD_BYTES 5 /* "HTTP/"; zstd's magic number has 4, gzip's 2 */
#define TAIL_BYTES ((size_t)4 << 10)
#define AFTER_BYTES ((size_t)16 << 10)
/* XAPI runs zstd at its default level: a window of 2 MiB. */
#define WINDOW_LOG_MAX 23

enum read_state { DETECT, PLAIN, ZSTD, FAILED };

struct xva_read {
    enum read_state state;
    struct xva_parse *parse;
    uint8_t head[HEAD_BYTES];
    size_t head_len;
    bool blocked;

    ZSTD_DStream *zstd;
    uint8_t *out; /* decompressed, not parsed yet: from out_pos to out_len */
    size_t out_cap, out_pos, out_len;
    bool more_out; /* the decoder may hold more than fitted */
    bool in_frame;

    uint8_t tail[TAIL_BYTES]; /* a ring: the last bytes of the stream */
    size_t tail_at;
    uint64_t raw; /* bytes of the stream */

    struct err failure; /* as found */
    uint8_t *after;     /* tail, then what came behind the failure */
    size_t after_len;
    bool settled; /* `failure` is final */
};

enum err_code xva_read_new(const struct xva_read_opts *opts,
                           struct xva_read **out, struct err *err)
{
    struct xva_read *r = calloc(1, sizeof(*r));
    enum err_code rc;

    if (!r)
        return err_set(err, ERR_NOMEM, 0, "an XVA reader");
    rc = xva_parse_new(opts, &r->parse, err);
    if (rc != ERR_OK) {
        free(r);
        return rc;
    }
    *out = r;
    return ERR_OK;
}

void xva_read_free(struct xva_read *r)
{
    if (!r)
        return;
    ZSTD_freeDStream(r->zstd);
    free(r->out);
    free(r->after);
    xva_parse_free(r->parse);
    free(r);
}

/* Note len bytes of the stream that were consumed. */
static void keep_tail(struct xva_read *r, const uint8_t *data, size_t len)
{
    size_t n;

    r->raw += len;
    if (len > TAIL_BYTES) {
        data += len - TAIL_BYTES;
        len = TAIL_BYTES;
    }
    n = TAIL_BYTES - r->tail_at < len ? TAIL_BYTES - r->tail_at : len;
    memcpy(r->tail + r->tail_at, data, n);
    memcpy(r->tail, data + n, len - n);
    r->tail_at = (r->tail_at + len) % TAIL_BYTES;
}

static void fail(struct xva_read *r, const struct err *err)
{
    size_t kept = r->raw < TAIL_BYTES ? (size_t)r->raw : TAIL_BYTES;
    size_t from = (r->tail_at + TAIL_BYTES - kept) % TAIL_BYTES;

    r->state = FAILED;
    r->blocked = false;
    r->failure = *err;
    r->after = malloc(TAIL_BYTES + AFTER_BYTES);
    if (!r->after || err->code == ERR_NOMEM) {
        r->settled = true;
        return;
    }
    for (size_t i = 0; i < kept; i++)
        r->after[r->after_len++] = r->tail[(from + i) % TAIL_BYTES];
}

/* The last answer 4xx or 5xx in the text; NULL: none. *status: its number. */
static const char *find_answer(const char *text, size_t len, int *status)
{
    static const char mark[] = "HTTP/1."; /* then "1 500 " */
    const char *found = NULL, *p = text, *end = text + len;

    while ((p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1))) {
        if (end - p >= 12 && p[8] == ' ' && (p[9] == '4' || p[9] == '5') &&
            p[10] >= '0' && p[10] <= '9' && p[11] >= '0' && p[11] <= '9') {
            found = p;
            *status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + p[11] - '0';
        }
        p++;
    }
    return found;
}

/* Are these the pool's own words? Then they are the error. */
static void settle(struct xva_read *r)
{
    const char *text = (const char *)r->after, *answer, *body;
    size_t at, left;
    char words[300];
    int status = 0;

    if (r->settled)
        return;
    r->settled = true;
    answer = find_answer(text, r->after_len, &status);
    if (!answer)
        return;
    at = (size_t)(answer - text);
    left = r->after_len - at;
    body = memmem(answer, left, "\r\n\r\n", 4);
    if (body) {
        left -= (size_t)(body - answer);
        answer = body;
    }
    html_xapi_error(answer, left, words, sizeof(words));
    if (r->head_len == HEAD_BYTES && memcmp(r->head, "HTTP/", 5) == 0)
        err_set(&r->failure, ERR_REMOTE, status,
                "the pool sent an error instead of the export: %s", words);
    else
        err_set(&r->failure, ERR_REMOTE, status,
                "the pool broke off the export after %" PRIu64 " bytes: %s",
                r->raw - r->after_len + at, words);
}

static void take_after(struct xva_read *r, const uint8_t *data, size_t len)
{
    size_t room;

    if (r->settled)
        return;
    room = TAIL_BYTES + AFTER_BYTES - r->after_len;
    if (len > room)
        len = room;
    memcpy(r->after + r->after_len, data, len);
    r->after_len += len;
    r->raw += len;
    if (len == room)
        settle(r);
}

static enum err_code detect(struct xva_read *r, struct err *err)
{
    if (memcmp(r->head, "HTTP/", 5) == 0)
        return err_set(err, ERR_PROTOCOL, 0,
                       "the stream begins with an HTTP answer");
    if (memcmp(r->head, "\x1f\x8b", 2) == 0)
        return err_set(err, ERR_PROTOCOL, 0,
                       "the export is compressed with gzip, which is not "
                       "supported: use zstd or none");
    if (memcmp(r->head, "\x28\xb5\x2f\xfd", 4) != 0) {
        r->state = PLAIN;
        return ERR_OK;
    }
    r->state = ZSTD;
    r->out_cap = ZSTD_DStreamOutSize();
    r->out = malloc(r->out_cap);
    r->zstd = ZSTD_createDStream();
    if (!r->out || !r->zstd)
        return err_set(err, ERR_NOMEM, 0, "a zstd decoder");
    ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return ERR_OK;
}

static enum err_code decompress(struct xva_read *r, ZSTD_inBuffer *in,
                                struct err *err)
{
    ZSTD_outBuffer out = {r->out, r->out_cap, 0};
    size_t left = ZSTD_decompressStream(r->zstd, &out, in);

    if (ZSTD_isError(left)) {
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
            return err_set(err, ERR_NOMEM, 0, "a zstd decoder");
        return err_set(err, ERR_PROTOCOL, 0,
                       "the zstd stream is damaged near byte %" PRIu64 ": %s",
                       r->raw + in->pos, ZSTD_getErrorName(left));
    }
    r->in_frame = left != 0;
    r->out_pos = 0;
    r->out_len = out.pos;
    /* Asked for more behind a frame's end it would wait for the next frame. */
    r->more_out = out.pos == out.size && left != 0;
    return ERR_OK;
}

static enum err_code feed_zstd(struct xva_read *r, const uint8_t *data,
                               size_t len, size_t *used, struct err *err)
{
    ZSTD_inBuffer in = {data, len, 0};
    enum err_code rc = ERR_OK;
    size_t moved;

    for (;;) {
        moved = 0;
        rc = xva_parse_feed(r->parse, r->out + r->out_pos,
                            r->out_len - r->out_pos, &moved, err);
        r->out_pos += moved;
        r->blocked = xva_parse_is_blocked(r->parse);
        if (rc != ERR_OK || r->blocked)
            break;
        if (in.pos == in.size && !r->more_out)
            break;
        rc = decompress(r, &in, err);
        if (rc != ERR_OK)
            break;
    }
    *used = in.pos;
    return rc;
}

static enum err_code feed_some(struct xva_read *r, const uint8_t *data,
                               size_t len, size_t *used, struct err *err)
{
    enum err_code rc;

    if (r->state == ZSTD)
        return feed_zstd(r, data, len, used, err);
    rc = xva_parse_feed(r->parse, data, len, used, err);
    r->blocked = xva_parse_is_blocked(r->parse);
    return rc;
}

/* The head, once it is complete, goes where the rest will go. */
static enum err_code feed_head(struct xva_read *r, const uint8_t *data,
                               size_t len, size_t *used, struct err *err)
{
    size_t n = HEAD_BYTES - r->head_len, moved = 0;
    enum err_code rc;

    if (n > len)
        n = len;
    memcpy(r->head + r->head_len, data, n);
    r->head_len += n;
    *used = n;
    if (r->head_len < HEAD_BYTES)
        return ERR_OK;
    rc = detect(r, err);
    /* Less than a header: nothing in it makes events, all of it is taken. */
    if (rc == ERR_OK)
        rc = feed_some(r, r->head, HEAD_BYTES, &moved, err);
    return rc;
}

enum err_code xva_read_feed(struct xva_read *r, const uint8_t *data, size_t len,
                            size_t *used, struct err *err)
{
    struct err found = {0};
    enum err_code rc = ERR_OK;
    size_t moved;

    *used = 0;
    r->blocked = false;
    if (r->state == DETECT && len > 0) {
        rc = feed_head(r, data, len, used, &found);
        keep_tail(r, data, *used);
    }
    if (rc == ERR_OK && (r->state == PLAIN || r->state == ZSTD)) {
        moved = 0;
        rc = feed_some(r, data + *used, len - *used, &moved, &found);
        keep_tail(r, data + *used, moved);
        *used += moved;
    }
    if (rc != ERR_OK)
        fail(r, &found);
    if (r->state != FAILED)
        return ERR_OK;
    take_after(r, data + *used, len - *used);
    *used = len;
    if (!r->settled)
        return ERR_OK;
    if (err)
        *err = r->failure;
    return r->failure.code;
}

bool xva_read_is_blocked(const struct xva_read *r)
{
    return r->blocked;
}

enum err_code xva_read_finish(struct xva_read *r, struct err *err)
{
    struct err found = {0};

    if (r->state != FAILED) {
        if (r->state == ZSTD && r->in_frame)
            err_set(&found, ERR_IO, 0,
                    "the zstd stream is cut short after %" PRIu64 " bytes",
                    r->raw);
        else if (r->state == DETECT && r->head_len > 0)
            err_set(&found, ERR_IO, 0, "the stream is cut short at byte %zu",
                    r->head_len);
        else if (xva_parse_finish(r->parse, &found) == ERR_OK)
            return ERR_OK;
        fail(r, &found);
    }
    settle(r);
    if (err)
        *err = r->failure;
    return r->failure.code;
}

enum err_code xva_read_mismatch(const struct xva_read *r,
                                const struct xva_read_block *block,
                                const struct xva_sum_text *found,
                                struct err *err)
{
    const struct ova_disk *disk =
        ova_disk(xva_parse_ova(r->parse), block->disk);

    return err_set(err, ERR_INTEGRITY, 0,
                   "%s/%08" PRIu64 "%s at byte %" PRIu64
                   " of the archive: damaged: the block's bytes have the "
                   "checksum %s, not %s",
                   disk->id, block->number, xva_sum_suffix(block->sum.kind),
                   block->stream_offset, found->text, block->sum.text);
}

const struct ova *xva_read_ova(const struct xva_read *r)
{
    return xva_parse_ova(r->parse);
}

uint64_t xva_read_position(const struct xva_read *r)
{
    return xva_parse_position(r->parse);
}
