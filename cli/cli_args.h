/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_args.h - the command line: noun, verb, options, arguments.
 *
 * One row per command says what it takes; parsing, --help and completion all
 * read the same rows.
 */
#ifndef CAIRN_CLI_CLI_ARGS_H
#define CAIRN_CLI_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CLI_ARGS_OPTIONS 24 /* of one command, with the common ones */
#define CLI_ARGS_VALUES 512 /* options and arguments given at once */

struct cli_run;

struct cli_option {
    const char *name;  /* "password-file" */
    const char *value; /* "FILE"; NULL: a flag */
    const char *help;
    char letter;       /* 'f', or 0 */
};

struct cli_command {
    const char *noun;
    const char *verb; /* NULL: the noun is the whole command */
    const char *args; /* "NAME", "VM...", "" */
    unsigned args_min, args_max;
    const struct cli_option *options; /* ended by a row without a name */
    const char *help;
    int (*run)(struct cli_run *run); /* exit code */
};

/* Ended by a row without a noun. */
extern const struct cli_command cli_commands[];

struct cli_args {
    const struct cli_command *command;
    struct cli_given {
        const char *name, *value; /* value "" for flags */
    } given[CLI_ARGS_VALUES];
    size_t given_count;
    const char *args[CLI_ARGS_VALUES];
    size_t arg_count;
};

/* What came of the command line. */
enum cli_args_outcome {
    CLI_ARGS_RUN,
    CLI_ARGS_HELP,  /* help was asked for and is printed: exit 0 */
    CLI_ARGS_WRONG, /* usage is printed to standard error: exit 2 */
};

enum cli_args_outcome cli_args_parse(int argc, char **argv,
                                     struct cli_args *out);

/* The last value of an option; NULL when it was not given. */
const char *cli_args_get(const struct cli_args *a, const char *name);
bool cli_args_has(const struct cli_args *a, const char *name);
/* The i-th value of an option that may be repeated, or NULL. */
const char *cli_args_at(const struct cli_args *a, const char *name, size_t i);

/* Usage of one command to `out`. */
void cli_args_usage(const struct cli_command *c, FILE *out);

/* Options that every command has; ended by a row without a name. */
extern const struct cli_option cli_args_common[];

#endif
