/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_token.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_input.h"
#include "cli/cli_out.h"

#define TEN_YEARS_MS ((uint64_t)3660 * 24 * 3600 * 1000)

static const struct cli_column columns[] = {
    {"ID", "id", CLI_FORM_TEXT},
    {"TENANT", "tenant", CLI_FORM_TEXT},
    {"LABEL", "label", CLI_FORM_TEXT},
    {"CREATED", "created", CLI_FORM_TEXT},
    {"EXPIRES", "expires", CLI_FORM_TEXT},
    {"REVOKED", "revoked", CLI_FORM_TEXT},
    {"LAST USED", "last_used", CLI_FORM_TEXT},
};

/* "30 d" from now, or a time. */
static bool token_expiry(const char *text, char out[CLOCK_TEXT])
{
    uint64_t ms;

    if (parse_duration_ms(text, 1000, TEN_YEARS_MS, &ms)) {
        clock_rfc3339(clock_wall_ms(clock_system()) + ms, out);
        return true;
    }
    if (strlen(text) == 10)
        snprintf(out, CLOCK_TEXT, "%.10sT00:00:00Z", text);
    else
        snprintf(out, CLOCK_TEXT, "%.20s", text);
    return clock_parse_rfc3339(out, &ms);
}

/* The token's text is seen this once: into a file, or to standard output. */
static int token_give(struct cli_run *run, const struct json *doc,
                      const char *path, int fd)
{
    const char *token = cli_out_text(doc, "token");
    struct buf line;
    struct err err;
    enum err_code rc;

    if (!path) {
        if (run->json)
            return cli_out_json(doc);
        fprintf(stderr, "token %lld of tenant %s; it is not shown again:\n",
                (long long)json_int(json_get(doc, "id"), 0),
                cli_out_text(doc, "tenant"));
        printf("%s\n", token);
        return cli_out_flush();
    }
    buf_init_secret(&line, 256);
    buf_addf(&line, "%s\n", token);
    rc = cli_input_keep(path, fd, buf_text(&line), &err);
    buf_fini(&line);
    if (rc != ERR_OK) {
        fprintf(stderr,
                "cairn: token %lld was made but not written down: revoke it\n",
                (long long)json_int(json_get(doc, "id"), 0));
        return cli_out_failed(&err);
    }
    fprintf(stderr, "token %lld of tenant %s is in %s\n",
            (long long)json_int(json_get(doc, "id"), 0),
            cli_out_text(doc, "tenant"), path);
    return EXIT_OK;
}

int cli_token_add(struct cli_run *run)
{
    const char *expires = cli_args_get(run->args, "expires");
    const char *path = cli_args_get(run->args, "out");
    char until[CLOCK_TEXT];
    struct json *doc = NULL, *body;
    struct cli_body b;
    struct err err;
    int fd = -1, exit;

    if (!cli_args_has(run->args, "tenant")) {
        fprintf(stderr, "cairn: whose token? Give --tenant\n");
        return EXIT_USAGE;
    }
    if (expires && !token_expiry(expires, until)) {
        fprintf(stderr, "cairn: --expires %s: wanted 30d or 2026-11-20\n",
                expires);
        return EXIT_USAGE;
    }
    if (path && cli_input_reserve(path, &fd, &err) != ERR_OK)
        return cli_out_failed(&err);
    cli_body_begin(&b);
    cli_body_option(&b, "tenant", run->args, "tenant");
    cli_body_option(&b, "label", run->args, "label");
    cli_body_text(&b, "expires", expires ? until : NULL);
    body = cli_body_end(&b);
    exit = cli_http_call(run, "POST", "/tokens", body, &doc);
    if (exit == EXIT_OK)
        exit = token_give(run, doc, path, fd);
    else if (path)
        cli_input_drop(path, fd);
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_token_list(struct cli_run *run)
{
    struct json *items = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/tokens");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    exit = cli_http_list(run, buf_text(&path), &items);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_token_revoke(struct cli_run *run)
{
    struct json *doc = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, "DELETE",
                         cli_http_path(&path, "/tokens", run->args->args[0],
                                       ""),
                         NULL, &doc);
    buf_fini(&path);
    if (exit == EXIT_OK && run->json)
        exit = cli_out_json(doc);
    json_free(doc);
    return exit;
}
