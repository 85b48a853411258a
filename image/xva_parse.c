/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   HEADER -> EXTENSION -> PADDING -> HEADER    pax and GNU names
 *   HEADER -> OVA       -> PADDING -> HEADER    the first entry
 *   HEADER -> BLOCK     -> PADDING -> HEADER    its checksum must follow
 *   HEADER -> SUM       -> PADDING -> HEADER
 *   HEADER -> HEADER (a zero block) -> END      nothing but zeros follows
 */
#include "image/xva_parse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "image/tar.h"
#include "image/xva_disks.h"

#define EXTENSION_MAX ((size_t)64 << 10)
/* tar pads an archive to 10 KiB; XAPI does not. */
#define TRAILING_ZEROS_MAX MIB

enum parse_state { HEADER, EXTENSION, OVA, BLOCK, SUM, PADDING, END };

struct xva_parse {
    struct xva_read_opts opts;
    enum parse_state state;
    uint64_t position; /* bytes consumed */
    bool blocked;

    /* the entry at hand */
    uint8_t head[TAR_BLOCK];
    size_t head_len;
    bool zero_block; /* the header before was all zero */
    uint64_t at;     /* where its header is */
    char name[TAR_NAME_MAX];
    uint64_t left;  /* of its contents */
    size_t padding; /* behind them */

    /* what an extension says about the next entry */
    struct buf extension;
    char extension_type;
    char next_name[TAR_NAME_MAX]; /* "": nothing */
    uint64_t next_size;
    bool next_size_set;

    struct buf text; /* ova.xml */
    struct ova *ova;
    struct xva_disks *disks; /* once ova.xml was read */
    struct xva_sum_text sum;
    size_t sum_len;
    uint64_t trailing;
};

enum err_code xva_parse_new(const struct xva_read_opts *opts,
                            struct xva_parse **out, struct err *err)
{
    size_t max = opts->ova_max ? opts->ova_max : OVA_BYTES_MAX;
    struct xva_parse *p;

    if (!opts->suite)
        return err_set(err, ERR_ARGUMENT, 0, "an XVA reader without a suite");
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, 0, "an XVA reader");
    p->opts = *opts;
    buf_init(&p->extension, EXTENSION_MAX);
    buf_init(&p->text, max < OVA_BYTES_MAX ? max : OVA_BYTES_MAX);
    *out = p;
    return ERR_OK;
}

void xva_parse_free(struct xva_parse *p)
{
    if (!p)
        return;
    xva_disks_free(p->disks);
    ova_free(p->ova);
    buf_fini(&p->text);
    buf_fini(&p->extension);
    free(p);
}

bool xva_parse_is_blocked(const struct xva_parse *p)
{
    return p->blocked;
}

const struct ova *xva_parse_ova(const struct xva_parse *p)
{
    return p->ova;
}

uint64_t xva_parse_position(const struct xva_parse *p)
{
    return p->position;
}

/* Add the entry's name and place to an error. */
static enum err_code placed(const struct xva_parse *p, struct err *err)
{
    if (p->name[0])
        return err_context(err, "%s at byte %" PRIu64 " of the archive",
                           p->name, p->at);
    return err_context(err, "at byte %" PRIu64 " of the archive", p->at);
}

static void enter(struct xva_parse *p, enum parse_state state, uint64_t size)
{
    p->state = state;
    p->left = size;
    p->padding = tar_padding(size);
}

static enum err_code begin_extension(struct xva_parse *p,
                                     const struct tar_header *h,
                                     struct err *err)
{
    if (h->size > EXTENSION_MAX)
        return err_set(err, ERR_PROTOCOL, 0,
                       "a header extension of %" PRIu64 " bytes", h->size);
    p->extension_type = h->type;
    buf_clear(&p->extension);
    enter(p, EXTENSION, h->size);
    return ERR_OK;
}

static enum err_code end_extension(struct xva_parse *p, struct err *err)
{
    const struct buf *b = &p->extension;

    if (buf_failed(b))
        return err_set(err, ERR_NOMEM, 0, "a header extension");
    if (p->extension_type == 'x')
        return tar_pax_read(b->data, b->len, p->next_name, &p->next_size,
                            &p->next_size_set, err);
    if (p->extension_type == 'L') {
        if (b->len == 0 || b->len > sizeof(p->next_name) ||
            strnlen((const char *)b->data, b->len) + 1 != b->len)
            return err_set(err, ERR_PROTOCOL, 0, "an unusable long name");
        memcpy(p->next_name, b->data, b->len);
    }
    return ERR_OK;
}

/* What kind of entry is it, and may it stand here? */
static enum err_code begin_entry(struct xva_parse *p, uint64_t size,
                                 struct err *err)
{
    enum xva_sum_kind kind;
    enum err_code rc;

    if (!p->ova) {
        if (strcmp(p->name, "ova.xml") != 0)
            return err_set(err, ERR_PROTOCOL, 0,
                           "an XVA begins with ova.xml, not with this");
        if (size == 0 || size > p->text.max)
            return err_set(err, ERR_PROTOCOL, 0, "%" PRIu64 " bytes are too %s",
                           size, size ? "many" : "few");
        enter(p, OVA, size);
        return ERR_OK;
    }
    if (xva_disks_is_sum(p->name, &kind)) {
        rc = xva_disks_sum_begin(p->disks, p->name, size, err);
        p->sum = (struct xva_sum_text){.kind = kind};
        p->sum_len = 0;
        enter(p, SUM, size);
        return rc;
    }
    rc = xva_disks_block(p->disks, p->name, size, err);
    enter(p, BLOCK, size);
    return rc;
}

static enum err_code on_zero_block(struct xva_parse *p, struct err *err)
{
    if (!p->zero_block) {
        p->zero_block = true;
        return ERR_OK;
    }
    if (!p->ova)
        return err_set(err, ERR_PROTOCOL, 0, "the archive is empty");
    if (xva_disks_end(p->disks, err) != ERR_OK)
        return err_context(err, "the archive ends at byte %" PRIu64,
                           p->position);
    p->state = END;
    p->opts.events->end(p->opts.ctx);
    return ERR_OK;
}

static enum err_code on_header(struct xva_parse *p, struct err *err)
{
    struct tar_header h;
    enum err_code rc;

    p->head_len = 0;
    p->at = p->position - TAR_BLOCK;
    p->name[0] = 0;
    if (bytes_all_zero(p->head, TAR_BLOCK))
        return on_zero_block(p, err);
    rc = tar_header_read(p->head, &h, err);
    if (rc == ERR_OK && p->zero_block)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "an entry behind half of an end of the archive");
    if (rc != ERR_OK)
        return placed(p, err);
    memcpy(p->name, h.name, sizeof(p->name));
    if (strchr("xgLK", h.type)) {
        if (begin_extension(p, &h, err) != ERR_OK)
            return placed(p, err);
        return ERR_OK;
    }
    if (p->next_name[0])
        memcpy(p->name, p->next_name, sizeof(p->name));
    if (p->next_size_set)
        h.size = p->next_size;
    p->next_name[0] = 0;
    p->next_size_set = false;
    if (h.type != '0' && h.type != '7')
        rc = err_set(err, ERR_PROTOCOL, 0, "no regular file");
    else
        rc = begin_entry(p, h.size, err);
    return rc == ERR_OK ? rc : placed(p, err);
}

static enum err_code on_ova_read(struct xva_parse *p, struct err *err)
{
    enum err_code rc;

    if (buf_failed(&p->text))
        return err_set(err, ERR_NOMEM, 0, "ova.xml");
    rc = ova_parse(p->text.data, p->text.len, &p->ova, err);
    if (rc != ERR_OK)
        return rc;
    rc = xva_disks_new(&p->opts, p->ova, &p->disks, err);
    if (rc != ERR_OK)
        return rc;
    p->opts.events->ova(p->opts.ctx, p->ova, p->text.data, p->text.len);
    buf_fini(&p->text);
    return ERR_OK;
}

/* The contents of an entry are complete. */
static enum err_code on_contents(struct xva_parse *p, struct err *err)
{
    enum err_code rc = ERR_OK;

    if (p->state == OVA)
        rc = on_ova_read(p, err);
    else if (p->state == EXTENSION)
        rc = end_extension(p, err);
    else if (p->state == SUM)
        rc = xva_disks_sum(p->disks, &p->sum, p->at, err);
    if (rc != ERR_OK && p->state != OVA)
        placed(p, err);
    p->state = p->padding > 0 ? PADDING : HEADER;
    return rc;
}

/* Of at most n bytes of contents; returns how many were taken. */
static size_t take_contents(struct xva_parse *p, const uint8_t *data, size_t n)
{
    switch (p->state) {
    case BLOCK:
        return xva_disks_data(p->disks, data, n);
    case OVA:
        buf_add(&p->text, data, n);
        return n;
    case EXTENSION:
        buf_add(&p->extension, data, n);
        return n;
    default: /* SUM: begin_entry() has seen that it fits */
        memcpy(p->sum.text + p->sum_len, data, n);
        p->sum_len += n;
        return n;
    }
}

static enum err_code take_trailing(struct xva_parse *p, const uint8_t *data,
                                   size_t n, struct err *err)
{
    p->trailing += n;
    if (bytes_all_zero(data, n) && p->trailing <= TRAILING_ZEROS_MAX)
        return ERR_OK;
    return err_set(err, ERR_PROTOCOL, 0,
                   "something follows behind the end of the archive at byte "
                   "%" PRIu64,
                   p->position - p->trailing);
}

static bool in_contents(const struct xva_parse *p)
{
    return p->state == EXTENSION || p->state == OVA || p->state == BLOCK ||
           p->state == SUM;
}

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* Use some of the n > 0 bytes at hand; *moved: how many. */
static enum err_code take(struct xva_parse *p, const uint8_t *data, size_t n,
                          size_t *moved, struct err *err)
{
    if (p->state == HEADER) {
        *moved = smaller(TAR_BLOCK - p->head_len, n);
        memcpy(p->head + p->head_len, data, *moved);
        p->head_len += *moved;
        p->position += *moved;
        return p->head_len == TAR_BLOCK ? on_header(p, err) : ERR_OK;
    }
    if (p->state == PADDING) {
        *moved = smaller(p->padding, n);
        p->padding -= *moved;
        p->position += *moved;
        if (p->padding == 0)
            p->state = HEADER;
        return ERR_OK;
    }
    if (p->state == END) {
        *moved = n;
        p->position += n;
        return take_trailing(p, data, n, err);
    }
    n = smaller(p->left, n);
    *moved = take_contents(p, data, n);
    p->blocked = *moved < n;
    p->left -= *moved;
    p->position += *moved;
    return ERR_OK;
}

/*
 * What needs no further bytes - a hole before a block, the end of an entry - is
 * done at once: so what is told does not depend on how the bytes come.
 */
enum err_code xva_parse_feed(struct xva_parse *p, const uint8_t *data,
                             size_t len, size_t *used, struct err *err)
{
    enum err_code rc = ERR_OK;
    size_t moved = 0;

    *used = 0;
    p->blocked = false;
    while (rc == ERR_OK && !p->blocked) {
        if (p->state == BLOCK && !xva_disks_hole(p->disks)) {
            p->blocked = true;
        } else if (in_contents(p) && p->left == 0) {
            rc = on_contents(p, err);
        } else if (*used < len) {
            rc = take(p, data + *used, len - *used, &moved, err);
            *used += moved;
        } else {
            break;
        }
    }
    return rc;
}

enum err_code xva_parse_finish(const struct xva_parse *p, struct err *err)
{
    if (p->state == END)
        return ERR_OK;
    if (p->position == 0)
        return err_set(err, ERR_IO, 0, "the stream is empty");
    if (p->state == HEADER && p->head_len == 0)
        return err_set(err, ERR_IO, 0,
                       "the stream is cut short at byte %" PRIu64
                       ": the end of the archive is missing",
                       p->position);
    return err_set(err, ERR_IO, 0,
                   "the stream is cut short at byte %" PRIu64 "%s%s",
                   p->position, p->state == HEADER ? "" : ", in ",
                   p->state == HEADER ? "" : p->name);
}
