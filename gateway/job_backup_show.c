/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_backup.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/clock.h"

#define RENEW_MS 10000 /* the words of an outage, while it lasts */

static void log_change(struct backup *b, const struct session_figures *f)
{
    if (f->down_since_ms)
        job_log(b->job, "warn",
                "the store answers nothing; sealed parts wait in the spill "
                "file");
    else
        job_log(b->job, "info", "the store answers again; %ju MiB were spilled",
                (uintmax_t)(f->spilled / MIB));
}

void job_backup_show(struct backup *b,
                     const struct backup_pipe_figures *figures)
{
    const struct session_figures *f = &figures->session;
    const uint64_t now = clock_mono_ms(loop_clock(b->job->engine->control));
    const char *stage = b->committing ? "commit" : "transfer";
    char text[80], since[CLOCK_TEXT];

    job_progress(b->job, f->read, b->total_bytes);
    if ((f->down_since_ms == 0) != (b->down_since_ms == 0)) {
        b->down_since_ms = f->down_since_ms;
        b->shown_ms = 0;
        log_change(b, f);
        if (!f->down_since_ms)
            job_stage_text(b->job, stage);
    }
    if (!f->down_since_ms || (b->shown_ms && now - b->shown_ms < RENEW_MS))
        return;
    b->shown_ms = now;
    clock_rfc3339(f->down_since_ms, since);
    snprintf(text, sizeof(text), "%s, store down since %.9s, %u MiB spilled",
             stage, since + 11, (unsigned)(f->spilled_now / MIB));
    job_stage_text(b->job, text);
}
