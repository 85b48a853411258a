/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_run.h - what a running command has at hand.
 *
 * A command returns its exit code (base/exit.h) and has said on standard error
 * why when it is not 0. Data goes to standard output, all else to standard
 * error.
 */
#ifndef CAIRN_CLI_CLI_RUN_H
#define CAIRN_CLI_CLI_RUN_H

#include <stdbool.h>

#include "base/err.h"
#include "base/exit.h"
#include "base/json.h"
#include "cli/cli_args.h"

struct cli_http;

struct cli_run {
    const struct cli_args *args;
    struct cli_http *http;
    bool json;    /* --json */
    bool err_tty; /* standard error is a terminal */
    bool in_tty;  /* a person can be asked: standard input is one too */
};

#endif
