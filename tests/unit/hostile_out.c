/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OBJECTS_MAX 100

struct object {
    char *name;
    uint8_t *data;
    size_t len;
};

struct hostile_out {
    const char *folder;
    unsigned step, count;
    struct object first[OBJECTS_MAX];
    size_t objects;
};

static void need(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

struct hostile_out *hostile_out_new(void)
{
    const char *folder = getenv("CAIRN_HOSTILE_OUT");
    const char *step = getenv("CAIRN_HOSTILE_STEP");
    struct hostile_out *out;

    if (!folder)
        return NULL;
    out = calloc(1, sizeof(*out));
    need(out != NULL, "memory");
    out->folder = folder;
    out->step = step ? (unsigned)strtoul(step, NULL, 10) : 1;
    need(out->step > 0, "CAIRN_HOSTILE_STEP");
    return out;
}

void hostile_out_free(struct hostile_out *out)
{
    for (size_t i = 0; out && i < out->objects; i++) {
        free(out->first[i].name);
        free(out->first[i].data);
    }
    free(out);
}

static void write_file(const char *folder, const char *name, const void *data,
                       size_t len)
{
    char path[4096];
    size_t at = strlen(folder) + 1;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (; path[at]; at++)
        if (path[at] == '/')
            path[at] = '+';
    f = fopen(path, "wb");
    need(f && fwrite(data, 1, len, f) == len && fclose(f) == 0, path);
}

void hostile_out_text(const struct hostile_out *out, const char *name,
                      const char *text)
{
    write_file(out->folder, name, text, strlen(text));
}

static void remember(struct hostile_out *out,
                     const struct store_fault_bucket *bucket)
{
    for (size_t i = 0; i < store_fault_objects(bucket); i++) {
        struct object *o = &out->first[out->objects++];
        const uint8_t *data;

        need(out->objects < OBJECTS_MAX, "so many objects");
        o->name = strdup(store_fault_name(bucket, i));
        need(o->name != NULL, "memory");
        data = store_fault_peek(bucket, o->name, &o->len);
        o->data = malloc(o->len + 1);
        need(o->data != NULL, "memory");
        memcpy(o->data, data, o->len);
    }
}

static bool is_as_first(const struct hostile_out *out, const char *name,
                        const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < out->objects; i++)
        if (strcmp(out->first[i].name, name) == 0)
            return out->first[i].len == len &&
                   memcmp(out->first[i].data, data, len) == 0;
    return false;
}

void hostile_out_vault(struct hostile_out *out,
                       const struct store_fault_bucket *bucket, const char *why)
{
    unsigned n = out->count++;
    char folder[2000], gone[8000] = "";
    size_t len;

    if (n % out->step != 0)
        return;
    snprintf(folder, sizeof(folder), "%s/%u", out->folder, n);
    need(mkdir(folder, 0700) == 0, folder);
    for (size_t i = 0; i < store_fault_objects(bucket); i++) {
        const char *name = store_fault_name(bucket, i);
        const uint8_t *data = store_fault_peek(bucket, name, &len);

        if (!is_as_first(out, name, data, len))
            write_file(folder, name, data, len);
    }
    for (size_t i = 0; i < out->objects; i++) {
        size_t at = strlen(gone);

        if (!store_fault_peek(bucket, out->first[i].name, &len))
            snprintf(gone + at, sizeof(gone) - at, "%s\n", out->first[i].name);
    }
    if (n == 0)
        remember(out, bucket);
    write_file(folder, "gone", gone, strlen(gone));
    write_file(folder, "why", why, strlen(why));
}
