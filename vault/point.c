/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/point.h"

#include <stdlib.h>
#include <string.h>

#include "vault/point_fields.h"
#include "vault/sealed.h"

void point_free(struct point *p)
{
    struct point_owned *d = (struct point_owned *)p;

    if (!d)
        return;
    free(d->keys);
    free(d->packs);
    free(d->disks);
    buf_fini(&d->plain);
    free(d);
}

enum err_code point_open(const struct keyring *keys, const char *name,
                         const void *sealed, size_t len, struct point **out,
                         struct err *err)
{
    struct point *p = NULL;
    struct buf plain;
    struct name n;
    struct id16 tag;
    char series[POINT_SERIES_MAX + 1];

    if (!name_parse(name, &n) || n.kind != NAME_POINT)
        return err_set(err, ERR_ARGUMENT, 0, "%s: not a point's name", name);
    buf_init(&plain, POINT_SEALED_MAX);
    if (sealed_open(keys, SEAL_STREAM_POINT, name, sealed, len, &plain, err) !=
            ERR_OK ||
        point_decode((struct slice){plain.data, plain.len}, &p, err) != ERR_OK)
        goto failed;
    memcpy(series, p->series.data, p->series.len);
    series[p->series.len] = 0;
    if (keyring_vm_tag(keys, series, &tag, err) != ERR_OK)
        goto failed;
    if (!id16_equal(&tag, &n.id)) {
        err_set(err, ERR_INTEGRITY, 0, "it is another VM's");
        goto failed;
    }
    ((struct point_owned *)p)->plain = plain;
    *out = p;
    return ERR_OK;
failed:
    point_free(p);
    buf_fini(&plain);
    return err_context(err, "%s", name);
}

enum err_code point_seal(const struct keyring *keys, const char *name,
                         const struct point *p, struct slice metadata,
                         struct buf *out, struct err *err)
{
    struct point with = *p;
    struct buf plain, inner;

    buf_init(&plain, POINT_SEALED_MAX / 2);
    buf_init(&inner, POINT_METADATA_MAX + (1 << 20));
    with.metadata = (struct slice){NULL, 0};
    if (metadata.len > POINT_METADATA_MAX)
        err_set(err, ERR_ARGUMENT, 0, "VM metadata of %zu bytes", metadata.len);
    else
        err_clear(err);
    if (err->code == ERR_OK && metadata.len &&
        sealed_make(keys, SEAL_STREAM_METADATA, name, metadata, &inner, err) ==
            ERR_OK)
        with.metadata = (struct slice){inner.data, inner.len};
    if (err->code == ERR_OK && point_encode(&with, &plain, err) == ERR_OK)
        sealed_make(keys, SEAL_STREAM_POINT, name,
                    (struct slice){plain.data, plain.len}, out, err);
    buf_fini(&inner);
    buf_fini(&plain);
    return err->code == ERR_OK ? ERR_OK : err_context(err, "%s", name);
}

enum err_code point_metadata(const struct keyring *keys, const char *name,
                             const struct point *p, struct buf *out,
                             struct err *err)
{
    if (!p->metadata.len)
        return err_set(err, ERR_NOT_FOUND, 0, "%s: it has no VM metadata",
                       name);
    if (sealed_open(keys, SEAL_STREAM_METADATA, name, p->metadata.data,
                    p->metadata.len, out, err) != ERR_OK)
        return err_context(err, "%s: VM metadata", name);
    return ERR_OK;
}

void point_name_at(struct slice names, size_t i, char out[NAME_POINT_BYTES + 1])
{
    memcpy(out, names.data + i * NAME_POINT_BYTES, NAME_POINT_BYTES);
    out[NAME_POINT_BYTES] = 0;
}

bool point_names_have(struct slice names, const char *name)
{
    if (strlen(name) != NAME_POINT_BYTES)
        return false;
    for (size_t at = 0; at + NAME_POINT_BYTES <= names.len;
         at += NAME_POINT_BYTES)
        if (memcmp(names.data + at, name, NAME_POINT_BYTES) == 0)
            return true;
    return false;
}

uint32_t point_chunk_bytes(const struct point_disk *d, uint64_t n)
{
    uint64_t size = (uint64_t)1 << d->log2_chunk;
    uint64_t at = n << d->log2_chunk;

    return (uint32_t)(d->bytes - at < size ? d->bytes - at : size);
}
