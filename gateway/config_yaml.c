/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_yaml.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

/* libcyaml explains itself line by line to its log function. */
struct said {
    char first[200]; /* the cause */
    unsigned line;   /* of what it had read last */
};

static void on_said(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

static void on_said(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    struct said *said = ctx;
    char text[200];
    const char *at;

    if (level != CYAML_LOG_ERROR)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    if (!said->first[0])
        memcpy(said->first, text, sizeof(text));
    at = strstr(text, "(line: ");
    if (at && said->line == 0)
        said->line = (unsigned)strtoul(at + 7, NULL, 10);
}

/* Whether a line says "key:", in any of YAML's ways to write a plain key in
 * block style. */
static bool is_key_line(const char *line, const char *key, size_t key_len)
{
    char quote = 0;

    line += strspn(line, " ");
    if (line[0] == '?' && line[1] == ' ')
        return false;
    if (*line == '"' || *line == '\'')
        quote = *line++;
    if (strncmp(line, key, key_len) != 0)
        return false;
    line += key_len;
    if (quote && *line++ != quote)
        return false;
    line += strspn(line, " ");
    return *line == ':';
}

unsigned config_yaml_line(const struct config_yaml *y, const char *key,
                          unsigned nth)
{
    size_t key_len = strlen(key);
    unsigned number = 1;

    for (const char *line = y->text; line; number++) {
        if (is_key_line(line, key, key_len) && --nth == 0)
            return number;
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return 0;
}

/* What a second document would say is silently ignored by libcyaml. A marker
 * at the start of a line is never part of a value. */
static unsigned second_document(const char *text)
{
    bool content = false;
    unsigned number = 1;

    for (const char *line = text; line; number++) {
        bool marker =
            strncmp(line, "---", 3) == 0 || strncmp(line, "...", 3) == 0;

        if (marker && content)
            return number;
        content = content || marker || (line[0] && !strchr("#\r\n%", line[0]));
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return 0;
}

/* Turn what libcyaml said into a sentence about a key of ours. */
static enum err_code explain(const struct config_yaml *y,
                             const struct said *said, unsigned *line,
                             struct err *err)
{
    static const char unknown[] = "Load: Unexpected key: ";
    static const char again[] = "Load: Mapping field already seen: ";
    const char *text = said->first;
    const char *key;

    if (strncmp(text, unknown, sizeof(unknown) - 1) == 0) {
        key = text + sizeof(unknown) - 1;
        *line = config_yaml_line(y, key, 1);
        return err_set(err, ERR_ARGUMENT, 0, "%.60s: no such setting", key);
    }
    if (strncmp(text, again, sizeof(again) - 1) == 0) {
        key = text + sizeof(again) - 1;
        *line = config_yaml_line(y, key, 2);
        return err_set(err, ERR_ARGUMENT, 0, "%.60s: given twice", key);
    }
    *line = said->line;
    if (strncmp(text, "Load: ", 6) == 0)
        text += 6;
    return err_set(err, ERR_ARGUMENT, 0, "no YAML of keys with texts: %s",
                   *text ? text : "it cannot be read");
}

static cyaml_schema_field_t *make_fields(const char *const *keys, size_t count)
{
    cyaml_schema_field_t *fields = calloc(count + 1, sizeof(*fields));

    for (size_t i = 0; fields && i < count; i++) {
        const cyaml_schema_field_t field = {
            .key = keys[i],
            .data_offset = (uint32_t)(i * sizeof(char *)),
            .value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER |
                                             CYAML_FLAG_OPTIONAL,
                                         char, 0, CYAML_UNLIMITED)},
        };

        memcpy(&fields[i], &field, sizeof(field));
    }
    return fields; /* the last one, all zero, ends the list */
}

enum err_code config_yaml_read(const char *text, const char *const *keys,
                               size_t count, struct config_yaml *out,
                               unsigned *line, struct err *err)
{
    struct config_yaml y = {.text = text, .count = count};
    struct said said = {.first = ""};
    cyaml_schema_field_t *fields = make_fields(keys, count);
    const cyaml_config_t config = {.log_fn = on_said,
                                   .log_ctx = &said,
                                   .log_level = CYAML_LOG_ERROR,
                                   .mem_fn = cyaml_mem,
                                   .flags = CYAML_CFG_NO_ALIAS};
    const cyaml_schema_value_t schema = {
        .type = CYAML_MAPPING,
        .flags = CYAML_FLAG_POINTER,
        .data_size = (uint32_t)(count * sizeof(char *)),
        .mapping = {.fields = fields},
    };
    cyaml_err_t rc;

    *line = 0;
    if (!fields)
        return err_set(err, ERR_NOMEM, 0, "configuration");
    rc = cyaml_load_data((const uint8_t *)text, strlen(text), &config, &schema,
                         (void **)&y.values, NULL);
    free(fields);
    if (rc == CYAML_ERR_OOM)
        return err_set(err, ERR_NOMEM, 0, "configuration");
    if (rc != CYAML_OK)
        return explain(&y, &said, line, err);
    if (!y.values) /* an empty document */
        y.values = calloc(count, sizeof(char *));
    if (!y.values)
        return err_set(err, ERR_NOMEM, 0, "configuration");
    *line = second_document(text);
    if (*line > 0) {
        config_yaml_fini(&y);
        return err_set(err, ERR_ARGUMENT, 0, "a second YAML document");
    }
    *out = y;
    return ERR_OK;
}

/* cyaml_mem() is realloc() and free(). */
void config_yaml_fini(struct config_yaml *y)
{
    for (size_t i = 0; y->values && i < y->count; i++)
        free(y->values[i]);
    free(y->values);
    y->values = NULL;
}
