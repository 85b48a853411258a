/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore/restore_progress.h - how far it is, on standard error: a line that
 * renews itself on a terminal, a plain line now and then elsewhere.
 */
#ifndef CAIRN_RESTORE_RESTORE_PROGRESS_H
#define CAIRN_RESTORE_RESTORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct restore_progress {
    const char *what; /* "web1, disk 0" */
    bool terminal;
    uint64_t begun_ms, said_ms;
    bool shown; /* a line is on the terminal */
};

void restore_progress_begin(struct restore_progress *p, const char *what);
void restore_progress_say(struct restore_progress *p, uint64_t done,
                          uint64_t total);
/* Clear the line. */
void restore_progress_end(struct restore_progress *p);

#endif
