/* SPDX-License-Identifier: Apache-2.0 */
#include "base/setting.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

static const struct setting *find(const struct setting *rows, size_t n,
                                  const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

/* A bound as a person would write it: "64 MiB", "30 s", "16". */
static void bound_text(enum setting_type type, uint64_t v, char *out,
                       size_t size)
{
    static const struct {
        enum setting_type type;
        uint64_t factor;
        const char *name;
    } units[] = {
        {SETTING_SIZE, TIB, "TiB"},         {SETTING_SIZE, GIB, "GiB"},
        {SETTING_SIZE, MIB, "MiB"},         {SETTING_SIZE, KIB, "KiB"},
        {SETTING_SIZE, 1, "B"},             {SETTING_DURATION, 86400000, "d"},
        {SETTING_DURATION, 3600000, "h"},   {SETTING_DURATION, 60000, "min"},
        {SETTING_DURATION, 1000, "s"},      {SETTING_DURATION, 1, "ms"},
    };

    for (size_t i = 0; i < BYTES_COUNT(units); i++) {
        bool whole = v % units[i].factor == 0 && v >= units[i].factor;

        if (units[i].type == type && (whole || units[i].factor == 1)) {
            snprintf(out, size, "%ju %s", (uintmax_t)(v / units[i].factor),
                     units[i].name);
            return;
        }
    }
    snprintf(out, size, "%ju", (uintmax_t)v);
}

static void wanted(const struct setting *row, char *out, size_t size)
{
    static const char *const kinds[] = {
        [SETTING_TEXT] = "a text of",    [SETTING_SIZE] = "a size from",
        [SETTING_NUMBER] = "a number from",
        [SETTING_DURATION] = "a duration from",
        [SETTING_BOOL] = "true or false",
    };
    char min[32], max[32];

    bound_text(row->type, row->min, min, sizeof(min));
    bound_text(row->type, row->max, max, sizeof(max));
    if (row->type == SETTING_BOOL)
        snprintf(out, size, "%s", kinds[row->type]);
    else
        snprintf(out, size, "%s %s to %s%s", kinds[row->type], min, max,
                 row->type == SETTING_TEXT ? " bytes" : "");
}

static bool convert(const struct setting *row, const char *text, uint64_t *n,
                    bool *yes)
{
    switch (row->type) {
    case SETTING_TEXT:
        *n = strlen(text);
        return *n >= row->min && *n <= row->max && parse_utf8(text, *n);
    case SETTING_SIZE:
        return parse_size(text, row->min, row->max, n);
    case SETTING_NUMBER:
        return parse_u64(text, row->min, row->max, n);
    case SETTING_DURATION:
        return parse_duration_ms(text, row->min, row->max, n);
    case SETTING_BOOL:
        return parse_bool(text, yes);
    }
    return false;
}

static enum err_code set_row(const struct setting *row, void *into,
                             const char *text, struct err *err)
{
    char *member = (char *)into + row->offset;
    char want[96];
    char *copy, *old;
    uint64_t n = 0;
    bool yes = false;

    if (!convert(row, text, &n, &yes)) {
        wanted(row, want, sizeof(want));
        return err_set(err, ERR_ARGUMENT, 0, "%s: wanted %s, got '%.60s'",
                       row->key, want, text);
    }
    if (row->type == SETTING_BOOL) {
        memcpy(member, &yes, sizeof(yes));
    } else if (row->type != SETTING_TEXT) {
        memcpy(member, &n, sizeof(n));
    } else {
        copy = strdup(text);
        if (!copy)
            return err_set(err, ERR_NOMEM, 0, "%s", row->key);
        memcpy(&old, member, sizeof(old));
        free(old);
        memcpy(member, &copy, sizeof(copy));
    }
    return ERR_OK;
}

enum err_code setting_defaults(const struct setting *rows, size_t n, void *into,
                               struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        enum err_code rc;

        if (!rows[i].otherwise)
            continue;
        rc = set_row(&rows[i], into, rows[i].otherwise, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code setting_set(const struct setting *rows, size_t n, void *into,
                          const char *key, const char *text, struct err *err)
{
    const struct setting *row = find(rows, n, key);

    if (!row)
        return err_set(err, ERR_NOT_FOUND, 0, "%.60s: no such setting", key);
    return set_row(row, into, text, err);
}

void setting_fini(const struct setting *rows, size_t n, void *into)
{
    for (size_t i = 0; i < n; i++) {
        char *member = (char *)into + rows[i].offset;
        char *text;

        if (rows[i].type != SETTING_TEXT)
            continue;
        memcpy(&text, member, sizeof(text));
        free(text);
        text = NULL;
        memcpy(member, &text, sizeof(text));
    }
}

void setting_help(const struct setting *rows, size_t n, int as_options,
                  FILE *out)
{
    for (size_t i = 0; i < n; i++) {
        const char *otherwise = rows[i].otherwise;

        fprintf(out, "  %s%-20s %s", as_options ? "--" : "", rows[i].key,
                rows[i].help);
        if (!otherwise)
            fprintf(out, " (required)");
        else if (*otherwise)
            fprintf(out, " (default: %s)", otherwise);
        fputc('\n', out);
    }
}
