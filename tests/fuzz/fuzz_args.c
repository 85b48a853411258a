/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command lines of cairn and of cairn-restore: the first byte says whose,
 * the words of the rest end in NULs or newlines. What is taken has all that the
 * command needs and nothing that it does not know.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/cli_args.h"
#include "restore/restore_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 700 /* above CLI_ARGS_VALUES */

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool knows(const struct cli_option *o, const char *name)
{
    for (; o && o->name; o++)
        if (o->name == name)
            return true;
    return false;
}

static void cairn(int argc, char **argv)
{
    static struct cli_args a;

    if (cli_args_parse(argc, argv, &a) != CLI_ARGS_RUN)
        return;
    require(a.command && a.command->run);
    require(a.arg_count >= a.command->args_min &&
            a.arg_count <= a.command->args_max);
    require(a.given_count <= CLI_ARGS_VALUES);
    for (size_t i = 0; i < a.given_count; i++) {
        require(knows(a.command->options, a.given[i].name) ||
                knows(cli_args_common, a.given[i].name));
        require(a.given[i].value && cli_args_has(&a, a.given[i].name));
    }
    for (size_t i = 0; i < a.arg_count; i++)
        require(a.args[i] != NULL);
}

static void cairn_restore(int argc, char **argv)
{
    struct restore_args a = {0};
    struct err err = {0};

    optind = 0; /* begin anew: another line */
    if (restore_args_parse(argc, argv, &a, &err) != ERR_OK) {
        require(err.code == ERR_ARGUMENT && err.text[0]);
        return;
    }
    if (a.command == RESTORE_HELP || a.command == RESTORE_VERSION)
        return;
    require(a.vault && a.key_file);
    if (a.command == RESTORE_XVA || a.command == RESTORE_DISK)
        require(a.point && a.output && !a.all && !a.json);
    else
        require(!a.output && !a.sha1);
    require(!a.full || !a.structure);
}

/* What is printed for people goes nowhere. */
static void hush(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    require(nowhere >= 0);
    /* The fuzzer's own words go to standard error: it keeps that one. */
    require(freopen("/dev/null", "w", stdout) != NULL);
    stderr = fdopen(nowhere, "w");
    require(stderr != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 1], *text;
    int count = 1;
    static bool ready;

    if (!ready)
        hush();
    ready = true;
    if (!size)
        return 0;
    text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    words[0] = strdup(data[0] % 2 ? "cairn-restore" : "cairn");
    require(words[0] != NULL);
    for (size_t at = 1; at < size && count < WORDS_MAX;) {
        char *word = text + at;

        at += strcspn(word, "\n") + 1;
        text[at - 1] = 0;
        words[count++] = word;
    }
    words[count] = NULL;
    if (data[0] % 2)
        cairn_restore(count, words);
    else
        cairn(count, words);
    free(words[0]);
    free(text);
    return 0;
}
