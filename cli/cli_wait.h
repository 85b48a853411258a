/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_wait.h - waiting for jobs, with progress.
 *
 * On a terminal one line that is written over; elsewhere a plain line for each
 * stage and each end. Both on standard error. Ctrl-C leaves the jobs running
 * and says so.
 */
#ifndef CAIRN_CLI_CLI_WAIT_H
#define CAIRN_CLI_CLI_WAIT_H

#include "cli/cli_run.h"

/*
 * The answer to a request that began jobs: {"jobs": [{"id", ..}], "failed":
 * [..]}. With --no-wait their ids are printed. Else wait for all; *docs (may be
 * NULL) gets their last documents as an array, the caller's. Exit code: a
 * single job's own; of several 0, 3 (warnings) or 1.
 */
int cli_wait_answer(struct cli_run *run, const struct json *answer,
                    struct json **docs);

/* What an ended job's document says of its outcome, in one line, to standard
 * error. */
void cli_wait_say(const struct json *job);

/* Progress of bytes that come to ourselves. */
struct cli_wait_meter {
    bool tty;
    const char *what;
    uint64_t total;    /* 0: unknown */
    uint64_t begun_ms, shown_ms;
};
void cli_wait_meter_begin(struct cli_wait_meter *m, bool tty,
                          const char *what, uint64_t total);
/* `final` ends the line. */
void cli_wait_meter_show(struct cli_wait_meter *m, uint64_t done, bool final);

#endif
