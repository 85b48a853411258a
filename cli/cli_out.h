/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_out.h - what is printed: tables, single things, JSON, errors.
 */
#ifndef CAIRN_CLI_CLI_OUT_H
#define CAIRN_CLI_CLI_OUT_H

#include "cli/cli_http.h"
#include "cli/cli_run.h"

enum cli_form {
    CLI_FORM_TEXT,
    CLI_FORM_BYTES,   /* "1.5 GiB" */
    CLI_FORM_YES_NO,
    CLI_FORM_PIN,     /* "AA:BB:.." */
    CLI_FORM_TEXTS,   /* an array, joined */
};

struct cli_column {
    const char *title; /* "STATE"; of a single thing "state" */
    const char *path;  /* "vm.name" */
    enum cli_form form;
};

/* An array as a table; with --json as it is. */
int cli_out_list(const struct cli_run *run, const struct json *items,
                 const struct cli_column *columns, size_t count);

/* One object, a line per column that is there; with --json as it is. */
int cli_out_thing(const struct cli_run *run, const struct json *doc,
                  const struct cli_column *columns, size_t count);

/* What a test found, {"ok", "checks"}; EXIT_FAILED where something is not
 * well. */
int cli_out_checks(const struct cli_run *run, const struct json *doc);

/* JSON to standard output, indented. */
int cli_out_json(const struct json *doc);

/* "cairn: ..." to standard error; with --json the problem in one line. */
void cli_out_problem(const struct cli_run *run, const struct cli_answer *a);
int cli_out_error(const struct err *err, enum exit_code exit);
/* The same with the exit code that follows from the error. */
int cli_out_failed(const struct err *err);

/* A line to standard error, of which at most 1 KiB is shown, with nothing in it
 * that a terminal obeys: with --json names come as they are. */
void cli_out_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A copy whose texts a terminal may see (base/shown.h), but for key files,
 * which have lines; NULL: out of memory. */
struct json *cli_out_tame(const struct json *doc);

/* The value at a path such as "vm.name" or "hosts.0"; NULL: none. */
const struct json *cli_out_at(const struct json *doc, const char *path);
/* Its text; "" when it is not there or no text. */
const char *cli_out_text(const struct json *doc, const char *path);

/* Standard output was written to its end; else EXIT_FAILED. */
int cli_out_flush(void);

/* "AA:BB:.." of 64 hex digits; out has 96 bytes. */
void cli_out_pin(const char *hex, char out[96]);

#endif
