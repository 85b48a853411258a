/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_args.h"

#include <getopt.h>
#include <string.h>

#define WRONG_OPTION 1000

const struct cli_option cli_args_common[] = {
    {"json", NULL, "print JSON instead of text", 0},
    {"server", "WHERE", "socket path or https://HOST:PORT of cairnd "
                        "($CAIRN_SERVER, else /run/cairn/cairnd.sock)", 0},
    {"server-ca", "FILE", "CA that signed the server's certificate", 0},
    {"token-file", "FILE", "the token to show, where it is not the socket", 0},
    {"help", NULL, "this text", 'h'},
    {0},
};

/* Reserved for what is not built yet, so that nothing else takes the words. */
static const char *const reserved[] = {
    "target", "plan", "prune",   "collect", "thaw",
    "usage",  "doctor", "report", "metrics", "gateway"};

static void usage_options(const struct cli_option *o, FILE *out)
{
    for (; o->name; o++) {
        char left[64];

        snprintf(left, sizeof(left), "%s--%s%s%s",
                 o->letter == 'f'   ? "-f, "
                 : o->letter == 'h' ? "-h, "
                                    : "",
                 o->name, o->value ? " " : "", o->value ? o->value : "");
        fprintf(out, "  %-26s %s\n", left, o->help);
    }
}

void cli_args_usage(const struct cli_command *c, FILE *out)
{
    fprintf(out, "usage: cairn %s%s%s%s%s [options]\n", c->noun,
            c->verb ? " " : "", c->verb ? c->verb : "", c->args[0] ? " " : "",
            c->args);
    fprintf(out, "%s.\n\n", c->help);
    if (c->options)
        usage_options(c->options, out);
    usage_options(cli_args_common, out);
}

static void usage_all(FILE *out)
{
    fprintf(out, "usage: cairn NOUN VERB [arguments] [options]\n\n");
    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        char left[64];

        snprintf(left, sizeof(left), "%s%s%s%s%s", c->noun, c->verb ? " " : "",
                 c->verb ? c->verb : "", c->args[0] ? " " : "", c->args);
        fprintf(out, "  %-28s %s\n", left, c->help);
    }
    fprintf(out, "\n`cairn NOUN VERB --help` tells more. Exit codes: 0 ok, "
                 "1 failed, 2 usage, 3 done with warnings,\n4 not found, "
                 "5 denied, 6 quota, policy or a missing mapping, 7 conflict, "
                 "8 damage,\n9 cold, 10 no such vault, 11 wrong key, 12 pool "
                 "unreachable, 13 store unreachable,\n75 try again, 130 "
                 "interrupted.\n");
}

/* All verbs of a noun; false: there is no such noun. */
static bool usage_noun(const char *noun, FILE *out)
{
    bool found = false;

    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        if (strcmp(c->noun, noun) != 0)
            continue;
        if (!found)
            fprintf(out, "usage:\n");
        found = true;
        fprintf(out, "  cairn %s%s%s%s%s\n", c->noun, c->verb ? " " : "",
                c->verb ? c->verb : "", c->args[0] ? " " : "", c->args);
    }
    return found;
}

static bool is_reserved(const char *noun)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(reserved[i], noun) == 0)
            return true;
    return false;
}

/* The command of the words at argv[1..]; *words: how many it took. */
static const struct cli_command *args_find(int argc, char **argv, int *words)
{
    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        if (strcmp(c->noun, argv[1]) != 0)
            continue;
        if (!c->verb) {
            *words = 1;
            return c;
        }
        if (argc > 2 && strcmp(c->verb, argv[2]) == 0) {
            *words = 2;
            return c;
        }
    }
    return NULL;
}

static enum cli_args_outcome args_unknown(int argc, char **argv)
{
    const char *noun = argv[1];

    if (strcmp(noun, "--help") == 0 || strcmp(noun, "-h") == 0 ||
        strcmp(noun, "help") == 0) {
        usage_all(stdout);
        return CLI_ARGS_HELP;
    }
    if (is_reserved(noun)) {
        fprintf(stderr, "cairn: '%s' is not in this version\n", noun);
        return CLI_ARGS_WRONG;
    }
    if (argc > 2 && (strcmp(argv[2], "--help") == 0 ||
                     strcmp(argv[2], "-h") == 0) &&
        usage_noun(noun, stdout))
        return CLI_ARGS_HELP;
    if (noun[0] == '-')
        fprintf(stderr, "cairn: a noun comes before the options\n");
    else if (argc > 2)
        fprintf(stderr, "cairn: there is no '%s %s'\n", noun, argv[2]);
    if (!usage_noun(noun, stderr)) {
        if (argc == 2 && noun[0] != '-')
            fprintf(stderr, "cairn: there is no '%s'\n", noun);
        fprintf(stderr, "`cairn --help` lists all commands\n");
    }
    return CLI_ARGS_WRONG;
}

/* getopt's table from the rows; `all` gets the same rows in the same order. */
static size_t options_fill(const struct cli_command *c, struct option *table,
                           const struct cli_option **all, char *letters)
{
    const struct cli_option *parts[2] = {c->options, cli_args_common};
    size_t count = 0;

    for (size_t p = 0; p < 2; p++) {
        for (const struct cli_option *o = parts[p]; o && o->name; o++) {
            if (count == CLI_ARGS_OPTIONS)
                return count;
            table[count].name = o->name;
            table[count].has_arg = o->value ? required_argument : no_argument;
            table[count].val = WRONG_OPTION + 1 + (int)count;
            if (o->letter)
                *letters++ = o->letter;
            all[count++] = o;
        }
    }
    *letters = '\0';
    return count;
}

static const struct cli_option *option_of(int got, size_t count,
                                          const struct cli_option **all)
{
    size_t at = got > WRONG_OPTION ? (size_t)(got - WRONG_OPTION - 1) : count;

    for (size_t i = 0; i < count; i++)
        if (i == at || (got < WRONG_OPTION && all[i]->letter == got))
            return all[i];
    return NULL;
}

static enum cli_args_outcome args_wrong(const struct cli_command *c,
                                        const char *why, const char *what)
{
    fprintf(stderr, "cairn: %s%s\n", why, what);
    cli_args_usage(c, stderr);
    return CLI_ARGS_WRONG;
}

static enum cli_args_outcome args_read(int argc, char **argv,
                                       const struct cli_command *c,
                                       struct cli_args *out)
{
    struct option table[CLI_ARGS_OPTIONS + 1] = {{0}};
    const struct cli_option *all[CLI_ARGS_OPTIONS];
    char letters[CLI_ARGS_OPTIONS + 2] = ":";
    size_t count = options_fill(c, table, all, letters + 1);
    int got;

    opterr = 0;
    optind = 0; /* begin anew, also after another line (tests) */
    while ((got = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        const struct cli_option *o = option_of(got, count, all);

        if (got == ':')
            return args_wrong(c, "a value is missing after ",
                              argv[optind - 1]);
        if (!o)
            return args_wrong(c, "there is no option ", argv[optind - 1]);
        if (strcmp(o->name, "help") == 0) {
            cli_args_usage(c, stdout);
            return CLI_ARGS_HELP;
        }
        if (out->given_count == CLI_ARGS_VALUES)
            return args_wrong(c, "too many options", "");
        out->given[out->given_count].name = o->name;
        out->given[out->given_count++].value = o->value ? optarg : "";
    }
    for (; optind < argc; optind++) {
        if (out->arg_count == CLI_ARGS_VALUES)
            return args_wrong(c, "too many arguments", "");
        out->args[out->arg_count++] = argv[optind];
    }
    if (out->arg_count < c->args_min)
        return args_wrong(c, "an argument is missing: ", c->args);
    if (out->arg_count > c->args_max)
        return args_wrong(c, "there is no place for ",
                          out->args[c->args_max]);
    return CLI_ARGS_RUN;
}

enum cli_args_outcome cli_args_parse(int argc, char **argv,
                                     struct cli_args *out)
{
    const struct cli_command *c;
    int words = 0;

    memset(out, 0, sizeof(*out));
    if (argc < 2) {
        usage_all(stderr);
        return CLI_ARGS_WRONG;
    }
    c = args_find(argc, argv, &words);
    if (!c)
        return args_unknown(argc, argv);
    out->command = c;
    /* getopt begins behind the first word: the last of the command's. */
    return args_read(argc - words, argv + words, c, out);
}

const char *cli_args_at(const struct cli_args *a, const char *name, size_t i)
{
    for (size_t k = 0; k < a->given_count; k++)
        if (strcmp(a->given[k].name, name) == 0 && i-- == 0)
            return a->given[k].value;
    return NULL;
}

const char *cli_args_get(const struct cli_args *a, const char *name)
{
    const char *last = NULL;

    for (size_t k = 0; k < a->given_count; k++)
        if (strcmp(a->given[k].name, name) == 0)
            last = a->given[k].value;
    return last;
}

bool cli_args_has(const struct cli_args *a, const char *name)
{
    return cli_args_get(a, name) != NULL;
}
