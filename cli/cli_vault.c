/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_vault.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_input.h"
#include "cli/cli_out.h"

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_FORM_TEXT},   {"TENANT", "tenant", CLI_FORM_TEXT},
    {"STATE", "state", CLI_FORM_TEXT}, {"LOCK", "lock", CLI_FORM_TEXT},
    {"URL", "url", CLI_FORM_TEXT},
};
static const struct cli_column rows[] = {
    {"name", "name", CLI_FORM_TEXT},
    {"tenant", "tenant", CLI_FORM_TEXT},
    {"vault id", "id", CLI_FORM_TEXT},
    {"state", "state", CLI_FORM_TEXT},
    {"url", "url", CLI_FORM_TEXT},
    {"endpoint", "endpoint", CLI_FORM_TEXT},
    {"region", "region", CLI_FORM_TEXT},
    {"lock", "lock", CLI_FORM_TEXT},
    {"own CA", "ca", CLI_FORM_YES_NO},
    {"existed before", "existing", CLI_FORM_YES_NO},
    {"public key", "public_key", CLI_FORM_TEXT},
    {"recovery proved", "recovery_proved", CLI_FORM_TEXT},
    {"created", "created", CLI_FORM_TEXT},
};

const char *cli_vault_path(const struct cli_run *run, struct buf *path,
                           const char *name, const char *behind)
{
    cli_http_path(path, "/vaults", name, behind);
    cli_http_query(path, "tenant", cli_args_get(run->args, "tenant"));
    return buf_text(path);
}

static int add_usage(const char *why)
{
    fprintf(stderr, "cairn: %s\n", why);
    return EXIT_USAGE;
}

static int add_check(const struct cli_run *run)
{
    const struct cli_args *a = run->args;
    bool existing = cli_args_has(a, "existing");
    bool opens = cli_args_has(a, "key-file") || cli_args_has(a, "vault-id");

    if (!cli_args_has(a, "tenant") || !cli_args_has(a, "url"))
        return add_usage("a vault needs --tenant and --url");
    if (existing && cli_args_has(a, "key-file") ==
                        cli_args_has(a, "vault-id"))
        return add_usage("--existing needs --key-file F or --vault-id ID");
    if (existing && cli_args_has(a, "recovery-out"))
        return add_usage("an existing vault has its recovery file already");
    if (!existing && opens)
        return add_usage("--key-file and --vault-id go with --existing");
    if (!existing && !cli_args_has(a, "recovery-out"))
        return add_usage("a new vault needs --recovery-out FILE: where its "
                         "recovery key is written, once");
    return EXIT_OK;
}

/* The contents of a file that an option names become a member. */
static enum err_code add_file(const struct cli_run *run, struct cli_body *b,
                              const char *name, const char *option,
                              struct err *err)
{
    const char *path = cli_args_get(run->args, option);
    struct buf text;
    enum err_code rc;

    if (!path)
        return ERR_OK;
    buf_init_secret(&text, 256 * 1024);
    rc = cli_input_file(path, &text, err);
    if (rc == ERR_OK && text.len == 0)
        rc = err_set(err, ERR_ARGUMENT, 0, "%s: empty", path);
    if (rc == ERR_OK)
        cli_body_text(b, name, buf_text(&text));
    buf_fini(&text);
    return rc;
}

static enum err_code add_body(const struct cli_run *run, struct cli_body *b,
                              struct err *err)
{
    static const char *const same[] = {"tenant", "url", "endpoint", "region",
                                       "lock"};
    enum err_code rc;

    cli_body_text(b, "name", run->args->args[0]);
    for (size_t i = 0; i < BYTES_COUNT(same); i++)
        cli_body_option(b, same[i], run->args, same[i]);
    cli_body_option(b, "vault_id", run->args, "vault-id");
    if (cli_args_has(run->args, "existing"))
        cli_body_flag(b, "existing", true);
    rc = add_file(run, b, "credentials", "credentials-file", err);
    if (rc == ERR_OK)
        rc = add_file(run, b, "ca", "ca", err);
    if (rc == ERR_OK)
        rc = add_file(run, b, "key_file", "key-file", err);
    return rc;
}

/* The file is read again and must open the vault, before the command ends. */
static int prove_recovery(struct cli_run *run, const char *path)
{
    struct json *body = NULL, *doc = NULL;
    struct cli_body b;
    struct buf text, url;
    struct err err;
    int exit;

    buf_init_secret(&text, 4096);
    buf_init(&url, 4096);
    if (cli_input_file(path, &text, &err) != ERR_OK) {
        exit = cli_out_failed(&err);
    } else {
        cli_body_begin(&b);
        cli_body_text(&b, "key_file", buf_text(&text));
        body = cli_body_end(&b);
        exit = cli_http_call(run, "POST",
                             cli_vault_path(run, &url, run->args->args[0],
                                            "/keys/test"),
                             body, &doc);
    }
    buf_fini(&text);
    buf_fini(&url);
    json_free(body);
    json_free(doc);
    if (exit == EXIT_OK)
        fprintf(stderr,
                "The recovery key is in %s, and it opens the vault. Copy it "
                "to a safe place away from here:\nwithout a gateway it is the "
                "only way to the backups, and whoever has it can read them.\n",
                path);
    return exit;
}

static int keep_recovery(struct cli_run *run, const struct json *doc,
                         const char *path, int fd)
{
    const char *text = cli_out_text(doc, "recovery_key_file");
    struct err err;

    if (text[0] && cli_input_keep(path, fd, text, &err) == ERR_OK)
        return prove_recovery(run, path);
    if (!text[0]) {
        cli_input_drop(path, fd);
        err_set(&err, ERR_PROTOCOL, 0, "the server gave no recovery key");
    }
    fprintf(stderr,
            "cairn: vault '%s' was made but its recovery key is not written "
            "down. Nothing is in it yet:\ncairn: remove it (`cairn vault "
            "remove %s`), empty the place and add it again\n",
            run->args->args[0], run->args->args[0]);
    return cli_out_failed(&err);
}

static void say_waiting(const struct cli_run *run, const struct json *vault)
{
    if (strcmp(cli_out_text(vault, "state"), "waiting") != 0)
        return;
    fprintf(stderr,
            "This gateway's keys are not in the vault yet. At a gateway that "
            "has it open:\n  cairn key grant --vault VAULT %s\nthen "
            "here:\n  cairn vault test %s\n",
            cli_out_text(vault, "public_key"), run->args->args[0]);
}

/* As JSON without the recovery key: that is in its file and nowhere else. */
static int add_say_json(const struct json *doc)
{
    const struct json *points = json_get(doc, "points");
    struct json *out;
    struct cli_body b;
    int exit;

    cli_body_begin(&b);
    cli_body_take(&b, "vault", json_clone(json_get(doc, "vault")));
    cli_body_take(&b, "points",
                  points ? json_clone(points) : json_new_null());
    out = cli_body_end(&b);
    exit = cli_out_json(out);
    json_free(out);
    return exit;
}

static int add_say(struct cli_run *run, const struct json *doc)
{
    const struct json *vault = json_get(doc, "vault");

    say_waiting(run, vault);
    if (run->json)
        return add_say_json(doc);
    if (json_int(json_get(doc, "points"), -1) >= 0)
        fprintf(stderr, "%lld points found\n",
                (long long)json_int(json_get(doc, "points"), 0));
    return cli_out_thing(run, vault, rows, BYTES_COUNT(rows));
}

/* Its recovery key is proved since: it is ready now. */
static void look_again(struct cli_run *run, struct json *doc)
{
    struct json *vault = NULL;
    struct buf url;

    buf_init(&url, 4096);
    if (cli_http_call(run, "GET",
                      cli_vault_path(run, &url, run->args->args[0], ""), NULL,
                      &vault) == EXIT_OK)
        json_set(doc, "vault", vault);
    buf_fini(&url);
}

int cli_vault_add(struct cli_run *run)
{
    const char *path = cli_args_get(run->args, "recovery-out");
    struct json *doc = NULL, *body;
    struct cli_body b;
    struct err err;
    int fd = -1, exit = add_check(run), said;

    if (exit != EXIT_OK)
        return exit;
    cli_body_begin(&b);
    if (add_body(run, &b, &err) != ERR_OK ||
        (path && cli_input_reserve(path, &fd, &err) != ERR_OK)) {
        json_free(b.j);
        return cli_out_failed(&err);
    }
    body = cli_body_end(&b);
    exit = cli_http_call(run, "POST", "/vaults", body, &doc);
    json_free(body);
    if (exit != EXIT_OK) {
        if (path)
            cli_input_drop(path, fd);
        return exit;
    }
    if (path)
        exit = keep_recovery(run, doc, path, fd);
    if (path && exit == EXIT_OK)
        look_again(run, doc);
    said = add_say(run, doc);
    json_free(doc);
    return exit != EXIT_OK ? exit : said;
}

int cli_vault_list(struct cli_run *run)
{
    struct json *items = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/vaults");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    exit = cli_http_list(run, buf_text(&path), &items);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_vault_show(struct cli_run *run)
{
    struct json *doc = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, "GET",
                         cli_vault_path(run, &path, run->args->args[0], ""),
                         NULL, &doc);
    buf_fini(&path);
    if (exit == EXIT_OK) {
        say_waiting(run, doc);
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    }
    json_free(doc);
    return exit;
}

int cli_vault_test(struct cli_run *run)
{
    struct json *doc = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, "POST",
                         cli_vault_path(run, &path, run->args->args[0],
                                        "/test"),
                         NULL, &doc);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_checks(run, doc);
    json_free(doc);
    return exit;
}

int cli_vault_remove(struct cli_run *run)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, "DELETE",
                         cli_vault_path(run, &path, run->args->args[0], ""),
                         NULL, NULL);
    buf_fini(&path);
    if (exit == EXIT_OK)
        fprintf(stderr, "This gateway knows the vault no more; what is stored "
                        "stays where it is.\n");
    return exit;
}
