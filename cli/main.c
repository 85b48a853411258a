/* SPDX-License-Identifier: Apache-2.0 */
/* cairn - the command line of the control API, and nothing else. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/guard.h"
#include "cli/cli_args.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"
#include "cli/cli_run.h"

static int run_command(struct cli_args *args)
{
    struct cli_run run = {
        .args = args,
        .json = cli_args_has(args, "json"),
        .err_tty = isatty(2),
        .in_tty = isatty(0) && isatty(2),
    };
    struct err err;
    int exit;

    if (cli_http_new(args, &run.http, &err) != ERR_OK)
        return cli_out_failed(&err);
    exit = args->command->run(&run);
    cli_http_free(run.http);
    return exit;
}

int main(int argc, char **argv)
{
    struct cli_args *args = calloc(1, sizeof(*args));
    int exit = EXIT_FAILED;

    guard_process();
    if (!args) {
        fprintf(stderr, "cairn: out of memory\n");
        return exit;
    }
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    switch (cli_args_parse(argc, argv, args)) {
    case CLI_ARGS_HELP:
        exit = cli_out_flush();
        break;
    case CLI_ARGS_WRONG:
        exit = EXIT_USAGE;
        break;
    case CLI_ARGS_RUN:
        exit = run_command(args);
        break;
    }
    free(args);
    return exit;
}
