/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/cli_rig.h - the program cairn, run against the control API of an
 * api_rig. cmocka's headers come first.
 */
#ifndef CAIRN_TESTS_UNIT_CLI_RIG_H
#define CAIRN_TESTS_UNIT_CLI_RIG_H

#include <sys/types.h>

#include "tenants/catalog_job.h"
#include "tests/unit/api_rig.h"

#define CLI_RIG_TEXT 16384

/* One run of the program. */
struct cli_rig {
    struct timer timer;
    struct api_rig *rig;
    pid_t pid;
    bool done;
    int exit;
    char out[CLI_RIG_TEXT], err[CLI_RIG_TEXT];
    void (*tick)(struct cli_rig *p); /* every 5 ms; may be NULL */
    unsigned ticks;
    void *user;
    unsigned closed; /* standard files: a bit for each */
    /* A terminal for standard input and error; 0: none. */
    int terminal;
    const char *const (*script)[2]; /* what is seen, what is typed then */
    char seen[CLI_RIG_TEXT];        /* all that came to the terminal */
};

/* The words end in NULL; the program's exit code. */
int cli_rig_run(struct cli_rig *p, struct api_rig *r, const char *const *words);

/* A path in the rig's folder; a file there; what one holds, and it goes. */
void cli_rig_file(struct api_rig *r, const char *name, char out[128]);
void cli_rig_write(struct api_rig *r, const char *name, const char *text,
                   char path[128]);
void cli_rig_read(const char *path, char out[CLI_RIG_TEXT]);

void cli_rig_terminal_open(struct cli_rig *p, const char *const (*script)[2]);
void cli_rig_terminal_close(struct cli_rig *p);

/* Ends the only unfinished job after a while, as the test says. */
struct cli_rig_ending {
    struct catalog_job_end end;
    char seen[CATALOG_JOB_ID];
    bool started;
    unsigned began;
    bool slow; /* runs for a second, so that a bar is drawn */
};

/* To be a tick, with an ending as its user. */
void cli_rig_end_job(struct cli_rig *p);
/* For catalog_job_each(): the first one's id to ctx. */
bool cli_rig_on_job(void *ctx, const struct catalog_job *j);

#define RUN(...) cli_rig_run(p, r, (const char *const[]){__VA_ARGS__, NULL})

#define assert_exit(code, call)                                                \
    do {                                                                       \
        int got = (call);                                                      \
        if (got != (code))                                                     \
            fail_msg("wanted %d, got %d\n%s%s", (code), got, p->out, p->err);  \
    } while (0)

#define assert_has(text, part)                                                 \
    do {                                                                       \
        if (!strstr((text), (part)))                                           \
            fail_msg("no '%s' in: %s", (part), (text));                        \
    } while (0)

#endif
