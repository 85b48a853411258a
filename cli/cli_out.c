/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_out.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/parse.h"
#include "base/shown.h"

#define CELL 512

const struct json *cli_out_at(const struct json *doc, const char *path)
{
    char name[64];

    while (doc && *path) {
        size_t len = strcspn(path, ".");

        if (len >= sizeof(name))
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        doc = json_kind(doc) == JSON_ARRAY
                  ? json_at(doc, strtoul(name, NULL, 10))
                  : json_get(doc, name);
        path += len + (path[len] == '.');
    }
    return doc;
}

const char *cli_out_text(const struct json *doc, const char *path)
{
    return json_text(cli_out_at(doc, path), "");
}

/* A file, line by line, that goes into a file and onto no terminal. */
static bool is_file(const char *name)
{
    return strcmp(name, "key_file") == 0 ||
           strcmp(name, "recovery_key_file") == 0;
}

static struct json *tame_text(const char *text)
{
    char *copy = strdup(text);
    struct json *tame;

    if (!copy)
        return NULL;
    shown_clean(copy);
    tame = json_new_text(copy);
    free(copy);
    return tame;
}

struct json *cli_out_tame(const struct json *doc)
{
    enum json_kind kind = json_kind(doc);
    struct json *tame;
    bool good = true;

    if (kind == JSON_TEXT)
        return tame_text(json_text(doc, ""));
    if (kind != JSON_ARRAY && kind != JSON_OBJECT)
        return json_clone(doc);
    tame = kind == JSON_ARRAY ? json_new_array() : json_new_object();
    for (size_t i = 0; tame && good && i < json_count(doc); i++) {
        const struct json *from = NULL;
        const char *name;

        if (kind == JSON_ARRAY) {
            good = json_append(tame, cli_out_tame(json_at(doc, i)));
            continue;
        }
        name = json_key_at(doc, i, &from);
        good = json_set(tame, name,
                        is_file(name) ? json_clone(from) : cli_out_tame(from));
    }
    if (good)
        return tame;
    json_free(tame);
    return NULL;
}

void cli_out_pin(const char *hex, char out[96])
{
    size_t n = 0;

    for (size_t i = 0; hex[i] && hex[i + 1] && i < 64; i += 2) {
        if (i)
            out[n++] = ':';
        out[n++] = (char)toupper((unsigned char)hex[i]);
        out[n++] = (char)toupper((unsigned char)hex[i + 1]);
    }
    out[n] = '\0';
}

static void cell_texts(const struct json *list, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_count(list) && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? "," : "",
                               json_text(json_at(list, i), ""));
}

/* A value as a person reads it; names come from elsewhere, so that control
 * characters must not reach the terminal. */
static void cell_text(const struct json *v, enum cli_form form,
                      char out[CELL])
{
    out[0] = '\0';
    if (!v || json_kind(v) == JSON_NULL)
        snprintf(out, CELL, "-");
    else if (form == CLI_FORM_BYTES)
        parse_size_text((uint64_t)json_int(v, 0), out, CELL);
    else if (form == CLI_FORM_YES_NO)
        snprintf(out, CELL, "%s", json_bool(v, false) ? "yes" : "no");
    else if (form == CLI_FORM_PIN)
        cli_out_pin(json_text(v, ""), out);
    else if (form == CLI_FORM_TEXTS)
        cell_texts(v, out, CELL);
    else if (json_kind(v) == JSON_INT)
        snprintf(out, CELL, "%lld", (long long)json_int(v, 0));
    else if (json_kind(v) == JSON_BOOL)
        snprintf(out, CELL, "%s", json_bool(v, false) ? "yes" : "no");
    else
        snprintf(out, CELL, "%s", json_text(v, "-"));
    shown_clean(out); /* also what was cut in the middle of a letter */
    if (!out[0])
        snprintf(out, CELL, "-");
}

/* Characters, not bytes: good enough for names without wide ones. */
static size_t cell_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void cell_print(const char *text, size_t width, bool last)
{
    size_t have = cell_width(text);

    printf("%s", text);
    if (last)
        printf("\n");
    else
        printf("%*s", (int)(width > have ? width - have + 2 : 2), "");
}

int cli_out_list(const struct cli_run *run, const struct json *items,
                 const struct cli_column *columns, size_t count)
{
    size_t widths[16] = {0};
    char cell[CELL];

    if (run->json)
        return cli_out_json(items);
    if (json_count(items) == 0)
        return EXIT_OK;
    for (size_t c = 0; c < count; c++)
        widths[c] = strlen(columns[c].title);
    for (size_t i = 0; i < json_count(items); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_text(cli_out_at(json_at(items, i), columns[c].path),
                      columns[c].form, cell);
            if (cell_width(cell) > widths[c])
                widths[c] = cell_width(cell);
        }
    }
    for (size_t c = 0; c < count; c++)
        cell_print(columns[c].title, widths[c], c + 1 == count);
    for (size_t i = 0; i < json_count(items); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_text(cli_out_at(json_at(items, i), columns[c].path),
                      columns[c].form, cell);
            cell_print(cell, widths[c], c + 1 == count);
        }
    }
    return cli_out_flush();
}

int cli_out_thing(const struct cli_run *run, const struct json *doc,
                  const struct cli_column *columns, size_t count)
{
    size_t width = 0;
    char cell[CELL];

    if (run->json)
        return cli_out_json(doc);
    for (size_t c = 0; c < count; c++)
        if (strlen(columns[c].title) > width)
            width = strlen(columns[c].title);
    for (size_t c = 0; c < count; c++) {
        const struct json *v = cli_out_at(doc, columns[c].path);

        if (!v || json_kind(v) == JSON_NULL)
            continue;
        cell_text(v, columns[c].form, cell);
        printf("%-*s  %s\n", (int)width, columns[c].title, cell);
    }
    return cli_out_flush();
}

int cli_out_checks(const struct cli_run *run, const struct json *doc)
{
    static const struct cli_column checks[] = {
        {"CHECK", "name", CLI_FORM_TEXT},
        {"OK", "ok", CLI_FORM_YES_NO},
        {"", "text", CLI_FORM_TEXT},
    };
    int exit = run->json ? cli_out_json(doc)
                         : cli_out_list(run, json_get(doc, "checks"), checks,
                                        BYTES_COUNT(checks));

    if (exit == EXIT_OK && !json_bool(json_get(doc, "ok"), false))
        exit = EXIT_FAILED;
    return exit;
}

int cli_out_json(const struct json *doc)
{
    char *text = json_dump(doc, true, NULL);

    if (!text) {
        fprintf(stderr, "cairn: out of memory\n");
        return EXIT_FAILED;
    }
    printf("%s\n", text);
    free(text);
    return cli_out_flush();
}

int cli_out_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_OK;
    fprintf(stderr, "cairn: standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

int cli_out_error(const struct err *err, enum exit_code exit)
{
    fprintf(stderr, "cairn: %s\n", err->text);
    return exit;
}

void cli_out_say(const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    shown_clean(line); /* also what was cut in the middle of a letter */
    fprintf(stderr, "%s\n", line);
}

int cli_out_failed(const struct err *err)
{
    return cli_out_error(err, err->code == ERR_CANCELLED
                                  ? EXIT_INTERRUPTED
                                  : exit_of(err->code, EXIT_PEER_NONE));
}

void cli_out_problem(const struct cli_run *run, const struct cli_answer *a)
{
    struct json *j;
    char *text;

    if (!run->json) {
        cli_out_error(&a->err, a->exit);
        return;
    }
    j = json_new_object();
    json_set_text(j, "code", err_name(a->err.code));
    json_set_int(j, "exit", a->exit);
    json_set_text(j, "detail", a->err.text);
    text = json_dump(j, false, NULL);
    if (text)
        fprintf(stderr, "%s\n", text);
    else
        cli_out_error(&a->err, a->exit);
    free(text);
    json_free(j);
}
