/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/list.h"

#include <stdlib.h>
#include <string.h>

#include "vault/field.h"
#include "vault/name.h"
#include "vault/pack_layout.h"
#include "vault/sealed.h"
#include "vault/varint.h"

enum list_field { LIST_CONDEMNED = 40, LIST_REMOVED = 41, LIST_RESTORED = 42 };

static const struct field_rule rules[] = {
    {LIST_CONDEMNED, true, false, false},
    {LIST_REMOVED, true, false, false},
    {LIST_RESTORED, true, false, false},
};

/* A decoded list and what it owns. */
struct owned {
    struct list list; /* first */
    struct list_pack *packs;
    struct list_range *ranges;
    struct buf plain; /* list_open()'s */
};

static enum err_code refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_INTEGRITY, 0, "list: %s", why);
}

/* One entry of field 40 off the front; *ranges of them follow its head. */
static enum err_code take_head(struct slice *from, struct id16 *id,
                               uint64_t *ranges, struct err *err)
{
    if (from->len < 16)
        return refuse(err, "a pack id is cut off");
    memcpy(id->b, from->data, 16);
    from->data += 16;
    from->len -= 16;
    if (!varint_take(from, ranges))
        return refuse(err, "a number is cut off or malformed");
    if (*ranges > from->len / 2)
        return refuse(err, "ranges are cut off");
    return ERR_OK;
}

static enum err_code take_range(struct slice *from, struct list_range *out,
                                struct err *err)
{
    uint64_t first, count;

    if (!varint_take(from, &first) || !varint_take(from, &count))
        return refuse(err, "a number is cut off or malformed");
    if (!count || first >= PACK_LAYOUT_SLOTS_MAX ||
        count > PACK_LAYOUT_SLOTS_MAX - first)
        return refuse(err, "slots that no pack has");
    out->first = (uint32_t)first;
    out->count = (uint32_t)count;
    return ERR_OK;
}

/* How much there is, so that memory is taken once; checks all of it. */
static enum err_code count_condemned(struct slice v, size_t *packs,
                                     size_t *ranges, struct err *err)
{
    struct list_range range;
    struct id16 id;
    uint64_t n;

    *packs = *ranges = 0;
    while (v.len) {
        if (take_head(&v, &id, &n, err) != ERR_OK)
            return err->code;
        for (uint64_t i = 0; i < n; i++)
            if (take_range(&v, &range, err) != ERR_OK)
                return err->code;
        (*packs)++;
        *ranges += (size_t)n;
    }
    return ERR_OK;
}

static enum err_code take_condemned(struct owned *o, struct slice v,
                                    struct err *err)
{
    struct list_range *range;
    size_t packs, ranges;
    uint64_t n;

    if (count_condemned(v, &packs, &ranges, err) != ERR_OK)
        return err->code;
    o->packs = calloc(packs + 1, sizeof(*o->packs));
    o->ranges = calloc(ranges + 1, sizeof(*o->ranges));
    if (!o->packs || !o->ranges)
        return err_set(err, ERR_NOMEM, 0, "list of %zu packs", packs);
    range = o->ranges;
    for (size_t i = 0; i < packs; i++) {
        if (take_head(&v, &o->packs[i].id, &n, err) != ERR_OK)
            return err->code;
        o->packs[i].range = range;
        o->packs[i].ranges = (size_t)n;
        for (uint64_t k = 0; k < n; k++)
            if (take_range(&v, range++, err) != ERR_OK)
                return err->code;
    }
    o->list.pack = o->packs;
    o->list.packs = packs;
    return ERR_OK;
}

static enum err_code take_names(struct slice *to, struct slice v,
                                struct err *err)
{
    struct name n;

    if (v.len % NAME_POINT_BYTES)
        return refuse(err, "names: length");
    for (size_t at = 0; at < v.len; at += NAME_POINT_BYTES)
        if (!name_parse_n((const char *)v.data + at, NAME_POINT_BYTES, &n) ||
            n.kind != NAME_POINT)
            return refuse(err, "names: not a point's");
    *to = v;
    return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b,
                  NAME_POINT_BYTES);
}

/* No name may be both removed and taken back. */
static enum err_code check_both(const struct list *l, struct err *err)
{
    size_t removed = l->removed.len / NAME_POINT_BYTES;
    size_t restored = l->restored.len / NAME_POINT_BYTES;
    const uint8_t **all;
    enum err_code rc = ERR_OK;

    if (!removed || !restored)
        return ERR_OK;
    all = calloc(removed, sizeof(*all));
    if (!all)
        return err_set(err, ERR_NOMEM, 0, "list of %zu names", removed);
    for (size_t i = 0; i < removed; i++)
        all[i] = l->removed.data + i * NAME_POINT_BYTES;
    qsort(all, removed, sizeof(*all), compare_names);
    for (size_t i = 0; i < restored && rc == ERR_OK; i++) {
        const uint8_t *key = l->restored.data + i * NAME_POINT_BYTES;

        if (bsearch(&key, all, removed, sizeof(*all), compare_names))
            rc = refuse(err, "a point is both removed and restored");
    }
    free(all);
    return rc;
}

static enum err_code take_field(struct owned *o, const struct field *f,
                                struct err *err)
{
    if (f->type == LIST_CONDEMNED)
        return take_condemned(o, f->value, err);
    if (f->type == LIST_REMOVED)
        return take_names(&o->list.removed, f->value, err);
    return take_names(&o->list.restored, f->value, err);
}

enum err_code list_decode(struct slice plain, struct list **out,
                          struct err *err)
{
    struct owned *o = calloc(1, sizeof(*o));
    struct field_reader r;
    struct field f;
    enum err_code rc;

    if (!o)
        return err_set(err, ERR_NOMEM, 0, "list");
    field_reader_init(&r, "list", rules, BYTES_COUNT(rules), plain);
    err_clear(err);
    while (field_next(&r, &f, err))
        if (take_field(o, &f, err) != ERR_OK)
            break;
    rc = err->code != ERR_OK ? err->code : check_both(&o->list, err);
    if (rc != ERR_OK) {
        list_free(&o->list);
        return rc;
    }
    *out = &o->list;
    return ERR_OK;
}

void list_free(struct list *l)
{
    struct owned *o = (struct owned *)l;

    if (!o)
        return;
    free(o->packs);
    free(o->ranges);
    buf_fini(&o->plain);
    free(o);
}

static void add_pack(struct buf *out, const struct list_pack *pack)
{
    buf_add(out, pack->id.b, 16);
    varint_add(out, pack->ranges);
    for (size_t i = 0; i < pack->ranges; i++) {
        varint_add(out, pack->range[i].first);
        varint_add(out, pack->range[i].count);
    }
}

enum err_code list_encode(const struct list *l, struct buf *out,
                          struct err *err)
{
    struct list *again = NULL;
    size_t begin = out->len, at;

    if (l->packs) {
        at = field_begin(out, LIST_CONDEMNED, true);
        for (size_t i = 0; i < l->packs; i++)
            add_pack(out, &l->pack[i]);
        field_end(out, at);
    }
    if (l->removed.len)
        field_add(out, LIST_REMOVED, true, l->removed.data, l->removed.len);
    if (l->restored.len)
        field_add(out, LIST_RESTORED, true, l->restored.data, l->restored.len);
    if (buf_failed(out))
        return err_set(err, ERR_NOMEM, 0, "list");
    if (out->len == begin)
        return ERR_OK; /* names nothing, and may have no bytes to point to */
    /* What no reader would take is not to be written. */
    if (list_decode((struct slice){out->data + begin, out->len - begin}, &again,
                    err) != ERR_OK) {
        out->len = begin;
        if (err->code == ERR_INTEGRITY)
            err->code = ERR_ARGUMENT;
        return err->code;
    }
    list_free(again);
    return ERR_OK;
}

enum err_code list_open(const struct keyring *keys, const char *name,
                        const void *sealed, size_t len, struct list **out,
                        struct err *err)
{
    struct list *l = NULL;
    struct buf plain;

    buf_init(&plain, LIST_SEALED_MAX);
    if (sealed_open(keys, SEAL_STREAM_LIST, name, sealed, len, &plain, err) !=
            ERR_OK ||
        list_decode((struct slice){plain.data, plain.len}, &l, err) != ERR_OK) {
        buf_fini(&plain);
        return err_context(err, "%s", name);
    }
    ((struct owned *)l)->plain = plain;
    *out = l;
    return ERR_OK;
}

enum err_code list_seal(const struct keyring *keys, const char *name,
                        const struct list *l, struct buf *out, struct err *err)
{
    struct buf plain;

    buf_init(&plain, LIST_SEALED_MAX / 2);
    if (list_encode(l, &plain, err) == ERR_OK)
        sealed_make(keys, SEAL_STREAM_LIST, name,
                    (struct slice){plain.data, plain.len}, out, err);
    buf_fini(&plain);
    return err->code;
}
