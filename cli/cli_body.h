/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_body.h - the JSON body of a request, member by member.
 *
 * What is NULL is left out; the first failure is remembered and told by
 * cli_body_end().
 */
#ifndef CAIRN_CLI_CLI_BODY_H
#define CAIRN_CLI_CLI_BODY_H

#include "base/json.h"
#include "cli/cli_args.h"

struct cli_body {
    struct json *j;
    bool failed;
};

void cli_body_begin(struct cli_body *b);
void cli_body_text(struct cli_body *b, const char *name, const char *text);
void cli_body_flag(struct cli_body *b, const char *name, bool v);
void cli_body_int(struct cli_body *b, const char *name, int64_t v);
void cli_body_take(struct cli_body *b, const char *name, struct json *take);

/* An option's value under the name of a member. */
void cli_body_option(struct cli_body *b, const char *name,
                     const struct cli_args *args, const char *option);
/* All values of an option as an array; none: left out. */
void cli_body_options(struct cli_body *b, const char *name,
                      const struct cli_args *args, const char *option);
/* All values KEY=VALUE of an option as an object. With `bare`, a value without
 * '=' stands for that key. False: one has another form, it is in *wrong. */
bool cli_body_pairs(struct cli_body *b, const char *name,
                    const struct cli_args *args, const char *option,
                    const char *bare, const char **wrong);

/* The caller's to json_free(); NULL: out of memory. */
struct json *cli_body_end(struct cli_body *b);

#endif
