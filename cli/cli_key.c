/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_key.h"

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_input.h"
#include "cli/cli_out.h"
#include "cli/cli_vault.h"

static const struct cli_column columns[] = {
    {"RECIPIENT", "recipient", CLI_FORM_TEXT},
    {"TAG", "tag", CLI_FORM_TEXT},
    {"WHAT", "what", CLI_FORM_TEXT},
    {"KEY ID", "key_id", CLI_FORM_TEXT},
};

static int key_do(struct cli_run *run, const char *method, const char *behind,
                  const struct json *body, struct json **out)
{
    const char *vault = cli_args_get(run->args, "vault");
    struct buf path;
    int exit;

    if (!vault) {
        fprintf(stderr, "cairn: keys of which vault? Give --vault\n");
        return EXIT_USAGE;
    }
    buf_init(&path, 4096);
    exit = cli_http_call(run, method,
                         cli_vault_path(run, &path, vault, behind), body,
                         out);
    buf_fini(&path);
    return exit;
}

int cli_key_list(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = key_do(run, "GET", "/keys", NULL, &doc);

    if (exit == EXIT_OK)
        exit = cli_out_list(run, json_get(doc, "items"), columns,
                            BYTES_COUNT(columns));
    json_free(doc);
    return exit;
}

int cli_key_test(struct cli_run *run)
{
    const char *path = cli_args_get(run->args, "key-file");
    struct json *doc = NULL, *body;
    struct cli_body b;
    struct buf text;
    struct err err;
    int exit;

    if (!path) {
        fprintf(stderr, "cairn: which key? Give --key-file\n");
        return EXIT_USAGE;
    }
    buf_init_secret(&text, 4096);
    if (cli_input_file(path, &text, &err) != ERR_OK) {
        buf_fini(&text);
        return cli_out_failed(&err);
    }
    cli_body_begin(&b);
    cli_body_text(&b, "key_file", buf_text(&text));
    buf_fini(&text);
    body = cli_body_end(&b);
    exit = key_do(run, "POST", "/keys/test", body, &doc);
    if (exit == EXIT_OK && run->json)
        exit = cli_out_json(doc);
    else if (exit == EXIT_OK)
        fprintf(stderr, "%s opens vault '%s'\n", path,
                cli_args_get(run->args, "vault"));
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_key_grant(struct cli_run *run)
{
    struct json *doc = NULL, *body;
    struct cli_body b;
    int exit;

    cli_body_begin(&b);
    cli_body_text(&b, "public_key", run->args->args[0]);
    body = cli_body_end(&b);
    exit = key_do(run, "POST", "/keys/grant", body, &doc);
    if (exit == EXIT_OK && run->json)
        exit = cli_out_json(doc);
    else if (exit == EXIT_OK)
        fprintf(stderr, "Recipient %s can open vault '%s' now.\n",
                cli_out_text(doc, "tag"), cli_args_get(run->args, "vault"));
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_key_export(struct cli_run *run)
{
    const char *path = cli_args_get(run->args, "out");
    struct json *doc = NULL;
    struct err err;
    int fd = -1, exit;

    if (!path) {
        fprintf(stderr, "cairn: where to? Give --out FILE\n");
        return EXIT_USAGE;
    }
    if (cli_input_reserve(path, &fd, &err) != ERR_OK)
        return cli_out_failed(&err);
    exit = key_do(run, "POST", "/keys/export", NULL, &doc);
    if (exit != EXIT_OK) {
        cli_input_drop(path, fd);
    } else if (cli_input_keep(path, fd, cli_out_text(doc, "key_file"), &err) !=
               ERR_OK) {
        exit = cli_out_failed(&err);
    } else {
        fprintf(stderr, "A key of vault '%s' is in %s: whoever has it can "
                        "read the vault.\n",
                cli_args_get(run->args, "vault"), path);
    }
    json_free(doc);
    return exit;
}
