/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

#define TERMINAL_MS 200
#define PLAIN_MS 10000

void restore_progress_begin(struct restore_progress *p, const char *what)
{
    uint64_t now = clock_mono_ms(clock_system());

    *p = (struct restore_progress){.what = what,
                                   .terminal = isatty(STDERR_FILENO),
                                   .begun_ms = now,
                                   .said_ms = now};
}

void restore_progress_say(struct restore_progress *p, uint64_t done,
                          uint64_t total)
{
    uint64_t now = clock_mono_ms(clock_system());
    uint64_t ms = now - p->begun_ms;
    char have[24], all[24], rate[24];

    if (now - p->said_ms < (p->terminal ? TERMINAL_MS : PLAIN_MS))
        return;
    p->said_ms = now;
    parse_size_text(done, have, sizeof(have));
    parse_size_text(total, all, sizeof(all));
    parse_size_text(ms ? done * 1000 / ms : 0, rate, sizeof(rate));
    fprintf(stderr, "%s%s: %s of %s (%u %%), %s/s%s", p->terminal ? "\r" : "",
            p->what, have, all,
            total ? (unsigned)(100.0 * (double)done / (double)total) : 100,
            rate, p->terminal ? "\033[K" : "\n");
    p->shown = p->terminal;
}

void restore_progress_end(struct restore_progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
