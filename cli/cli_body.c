/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_body.h"

#include <string.h>

#include "base/buf.h"

void cli_body_begin(struct cli_body *b)
{
    b->j = json_new_object();
    b->failed = !b->j;
}

void cli_body_take(struct cli_body *b, const char *name, struct json *take)
{
    if (!json_set(b->j, name, take))
        b->failed = true;
}

void cli_body_text(struct cli_body *b, const char *name, const char *text)
{
    if (text)
        cli_body_take(b, name, json_new_text(text));
}

void cli_body_flag(struct cli_body *b, const char *name, bool v)
{
    cli_body_take(b, name, json_new_bool(v));
}

void cli_body_int(struct cli_body *b, const char *name, int64_t v)
{
    cli_body_take(b, name, json_new_int(v));
}

void cli_body_option(struct cli_body *b, const char *name,
                     const struct cli_args *args, const char *option)
{
    cli_body_text(b, name, cli_args_get(args, option));
}

void cli_body_options(struct cli_body *b, const char *name,
                      const struct cli_args *args, const char *option)
{
    struct json *list;
    const char *value;

    if (!cli_args_has(args, option))
        return;
    list = json_new_array();
    for (size_t i = 0; (value = cli_args_at(args, option, i)) != NULL; i++)
        if (!json_append(list, json_new_text(value)))
            b->failed = true;
    cli_body_take(b, name, list);
}

bool cli_body_pairs(struct cli_body *b, const char *name,
                    const struct cli_args *args, const char *option,
                    const char *bare, const char **wrong)
{
    struct json *map;
    const char *value;
    bool ok = true;

    if (!cli_args_has(args, option))
        return true;
    map = json_new_object();
    for (size_t i = 0; (value = cli_args_at(args, option, i)) != NULL; i++) {
        const char *equals = strchr(value, '=');
        struct buf key;

        buf_init(&key, 1024);
        if (equals)
            buf_add(&key, value, (size_t)(equals - value));
        else if (bare)
            buf_add_text(&key, bare);
        if (key.len == 0 || buf_failed(&key) ||
            !(equals ? equals[1] : value[0]) ||
            json_get(map, buf_text(&key))) {
            *wrong = value;
            ok = false;
        } else if (!json_set_text(map, buf_text(&key),
                                  equals ? equals + 1 : value)) {
            b->failed = true;
        }
        buf_fini(&key);
    }
    cli_body_take(b, name, map);
    return ok;
}

struct json *cli_body_end(struct cli_body *b)
{
    if (!b->failed)
        return b->j;
    json_free(b->j);
    return NULL;
}
