/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_http.h - one request after the other to cairnd's control API.
 */
#ifndef CAIRN_CLI_CLI_HTTP_H
#define CAIRN_CLI_CLI_HTTP_H

#include "base/buf.h"
#include "cli/cli_run.h"

struct cli_http;

/* Reads --server, --server-ca, --token-file and the environment; nothing is
 * sent yet. ERR_ARGUMENT, ERR_IO, ERR_NOMEM. */
enum err_code cli_http_new(const struct cli_args *args, struct cli_http **out,
                           struct err *err);
void cli_http_free(struct cli_http *h);

/* What came back. */
struct cli_answer {
    int status;        /* 0: none came */
    struct json *doc;  /* NULL: no body, or none that is JSON */
    enum exit_code exit; /* EXIT_OK for 2xx */
    struct err err;    /* not OK otherwise: the problem's code and detail */
    bool interrupted;  /* Ctrl-C: exit is EXIT_INTERRUPTED */
};
void cli_answer_fini(struct cli_answer *a);

/* Ask and wait. path: below /api/v1, encoded (cli_http_path()). body NULL:
 * none. Prints nothing. */
void cli_http_ask(struct cli_http *h, const char *method, const char *path,
                  const struct json *body, struct cli_answer *out);

/* The same; what goes wrong is printed. EXIT_OK: *out (may be NULL) is the
 * caller's to json_free(). */
int cli_http_call(struct cli_run *run, const char *method, const char *path,
                  const struct json *body, struct json **out);

/* All pages of a list as one array. */
int cli_http_list(struct cli_run *run, const char *path, struct json **out);

/* A body that is written down as it comes. */
struct cli_http_sink {
    /* Before the first piece: job id from the answer's head, length or -1. */
    void (*begin)(void *ctx, const char *job_id, int64_t length);
    /* False: it could not be written; *err of the context says why. */
    bool (*piece)(void *ctx, const uint8_t *data, size_t len);
    void *ctx;
};
void cli_http_stream(struct cli_http *h, const char *method, const char *path,
                     const struct json *body, const struct cli_http_sink *sink,
                     struct cli_answer *out);

/* Paths: segments and parameters are percent-encoded. Texts that are NULL are
 * left out. */
void cli_http_segment(struct buf *path, const char *text);
void cli_http_query(struct buf *path, const char *name, const char *value);

/* "/pools/%s/test" with one encoded segment; the text is in *path. */
const char *cli_http_path(struct buf *path, const char *before,
                          const char *segment, const char *behind);

#endif
