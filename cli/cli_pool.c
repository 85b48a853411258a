/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_pool.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_input.h"
#include "cli/cli_out.h"
#include "net/http_tls.h"

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_FORM_TEXT},
    {"USER", "user", CLI_FORM_TEXT},
    {"HOST", "hosts.0.address", CLI_FORM_TEXT},
    {"PAUSED", "paused", CLI_FORM_YES_NO},
    {"CREATED", "created", CLI_FORM_TEXT},
};
static const struct cli_column rows[] = {
    {"name", "name", CLI_FORM_TEXT},
    {"uuid", "uuid", CLI_FORM_TEXT},
    {"user", "user", CLI_FORM_TEXT},
    {"trusted by a CA", "ca", CLI_FORM_YES_NO},
    {"paused", "paused", CLI_FORM_YES_NO},
    {"created", "created", CLI_FORM_TEXT},
};
static const struct cli_column host_columns[] = {
    {"HOST", "address", CLI_FORM_TEXT},
    {"NAME", "name", CLI_FORM_TEXT},
    {"TRUSTED", "trusted", CLI_FORM_YES_NO},
    {"FINGERPRINT", "fingerprint", CLI_FORM_PIN},
};
static const struct cli_column backlog_columns[] = {
    {"PAUSED SR", "name", CLI_FORM_TEXT},
    {"DISKS TO COALESCE", "disks", CLI_FORM_TEXT},
    {"AT MOST", "limit", CLI_FORM_TEXT},
    {"JOBS WAITING", "jobs", CLI_FORM_TEXT},
};

/* One request about the pool that is named. */
static int pool_do(struct cli_run *run, const char *method,
                   const char *behind, const struct json *body,
                   struct json **out)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, method,
                         cli_http_path(&path, "/pools", run->args->args[0],
                                       behind),
                         body, out);
    buf_fini(&path);
    return exit;
}

static int pool_print(struct cli_run *run, const struct json *doc)
{
    int exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));

    if (run->json || exit != EXIT_OK)
        return exit;
    printf("\n");
    exit = cli_out_list(run, json_get(doc, "hosts"), host_columns,
                        BYTES_COUNT(host_columns));
    if (exit != EXIT_OK || !json_count(json_get(doc, "backlog")))
        return exit;
    printf("\n");
    return cli_out_list(run, json_get(doc, "backlog"), backlog_columns,
                        BYTES_COUNT(backlog_columns));
}

static bool has_untrusted(const struct json *doc)
{
    const struct json *hosts = json_get(doc, "hosts");

    for (size_t i = 0; i < json_count(hosts); i++)
        if (!json_bool(json_get(json_at(hosts, i), "trusted"), false))
            return true;
    return false;
}

/* What hosts show that nobody has accepted, one line each. member: "sha256" of
 * a probe, "seen_fingerprint" of a pool. Into *map: address to fingerprint. */
static size_t show_untrusted(const struct json *doc, const char *member,
                             struct json *map)
{
    const struct json *hosts = json_get(doc, "hosts");
    size_t shown = 0;
    char pin[96];

    for (size_t i = 0; i < json_count(hosts); i++) {
        const struct json *h = json_at(hosts, i);
        const char *hex = cli_out_text(h, member);
        const char *name = cli_out_text(h, "name");

        if (json_bool(json_get(h, "trusted"), false))
            continue;
        if (!hex[0]) {
            cli_out_say("%s: %s", cli_out_text(h, "address"),
                        cli_out_text(h, "error")[0] ? cli_out_text(h, "error")
                                                    : "not reached yet");
            continue;
        }
        cli_out_pin(hex, pin);
        cli_out_say("%s%s%.200s%s shows the certificate with SHA-256",
                    cli_out_text(h, "address"), name[0] ? " (" : "", name,
                    name[0] ? ")" : "");
        cli_out_say("  %s", pin);
        json_set_text(map, cli_out_text(h, "address"), hex);
        shown++;
    }
    return shown;
}

/* Only those of the map whose fingerprint was given on the command line;
 * false: one that was given is no fingerprint. */
static bool keep_given(const struct cli_run *run, struct json **map)
{
    struct json *kept = json_new_object();
    const char *text;

    for (size_t i = 0;
         (text = cli_args_at(run->args, "fingerprint", i)) != NULL; i++) {
        uint8_t pin[32];
        char hex[65];

        if (!http_trust_parse_pin(text, pin)) {
            fprintf(stderr, "cairn: --fingerprint %s: wanted a SHA-256\n",
                    text);
            json_free(kept);
            return false;
        }
        bytes_hex(pin, sizeof(pin), hex);
        for (size_t k = 0; k < json_count(*map); k++) {
            const struct json *value;
            const char *address = json_key_at(*map, k, &value);

            if (strcmp(json_text(value, ""), hex) == 0)
                json_set_text(kept, address, hex);
        }
    }
    json_free(*map);
    *map = kept;
    return true;
}

static int accept_map(struct cli_run *run, const char *pool,
                      struct json *take_map, struct json **out)
{
    struct cli_body b;
    struct json *body;
    struct buf path;
    int exit;

    cli_body_begin(&b);
    cli_body_take(&b, "fingerprints", take_map);
    body = cli_body_end(&b);
    buf_init(&path, 4096);
    exit = cli_http_call(run, "POST",
                         cli_http_path(&path, "/pools", pool, "/accept"), body,
                         out);
    buf_fini(&path);
    json_free(body);
    return exit;
}

/* Members of a pool just added that are not trusted yet. */
static int add_members(struct cli_run *run, struct json **doc)
{
    const char *name = run->args->args[0];
    struct json *map = json_new_object(), *more = NULL;
    int exit = EXIT_OK;

    if (!has_untrusted(*doc)) {
        json_free(map);
        return EXIT_OK;
    }
    if (show_untrusted(*doc, "seen_fingerprint", map) > 0 &&
        cli_input_yes(run, "Trust these members too?")) {
        exit = accept_map(run, name, map, &more);
        if (exit == EXIT_OK) {
            json_free(*doc);
            *doc = more;
        }
        return exit;
    }
    json_free(map);
    fprintf(stderr,
            "cairn: members that are not trusted are not used: `cairn pool "
            "accept %s`\n",
            name);
    return EXIT_WARNINGS;
}

/* Look at the given hosts and ask whether to believe what they show; their
 * fingerprints go into *b. */
static int add_ask(struct cli_run *run, const struct json *look_body,
                   struct cli_body *b)
{
    struct json *probe = NULL, *map = json_new_object();
    struct json *pins = json_new_array();
    size_t shown;
    int exit = cli_http_call(run, "POST", "/pool-probes", look_body, &probe);

    if (exit == EXIT_OK) {
        shown = show_untrusted(probe, "sha256", map);
        if (shown == 0) {
            exit = EXIT_POOL;
        } else if (!run->in_tty) {
            fprintf(stderr, "cairn: nobody is there to ask: give "
                            "--fingerprint SHA256 or --ca FILE\n");
            exit = EXIT_USAGE;
        } else if (!cli_input_yes(run, "Trust it?")) {
            fprintf(stderr, "cairn: nothing was added\n");
            exit = EXIT_DENIED;
        }
    }
    for (size_t i = 0; exit == EXIT_OK && i < json_count(map); i++) {
        const struct json *value;

        json_key_at(map, i, &value);
        if (!json_append(pins, json_new_text(json_text(value, ""))))
            exit = EXIT_FAILED;
    }
    cli_body_take(b, "fingerprints", pins);
    json_free(map);
    json_free(probe);
    return exit;
}

static int add_secret(struct cli_run *run, struct cli_body *b)
{
    const char *path = cli_args_get(run->args, "password-file");
    struct buf password;
    struct err err;
    char prompt[256];
    enum err_code rc;

    buf_init_secret(&password, 4096);
    snprintf(prompt, sizeof(prompt), "Password of %s at %s",
             cli_args_get(run->args, "user"), cli_args_get(run->args, "host"));
    rc = path ? cli_input_secret(path, &password, &err)
              : cli_input_password(run, prompt, &password, &err);
    if (rc == ERR_OK)
        cli_body_text(b, "password", buf_text(&password));
    buf_fini(&password);
    return rc == ERR_OK ? EXIT_OK : cli_out_failed(&err);
}

static int add_ca(struct cli_run *run, struct cli_body *b)
{
    const char *path = cli_args_get(run->args, "ca");
    struct buf pem;
    struct err err;
    enum err_code rc;

    if (!path)
        return EXIT_OK;
    buf_init(&pem, 256 * 1024);
    rc = cli_input_file(path, &pem, &err);
    if (rc == ERR_OK)
        cli_body_text(b, "ca", buf_text(&pem));
    buf_fini(&pem);
    return rc == ERR_OK ? EXIT_OK : cli_out_failed(&err);
}

/* What both the look and the pool need. */
static int add_hosts(struct cli_run *run, struct cli_body *b)
{
    const char *wrong = NULL;

    cli_body_options(b, "hosts", run->args, "host");
    if (cli_body_pairs(b, "host_addresses", run->args, "host-address", NULL,
                       &wrong))
        return EXIT_OK;
    fprintf(stderr, "cairn: --host-address %s: wanted UUID=IP\n", wrong);
    return EXIT_USAGE;
}

static int add_trust(struct cli_run *run, struct cli_body *b)
{
    struct cli_body look;
    struct json *body;
    int exit;

    if (cli_args_has(run->args, "ca"))
        return add_ca(run, b);
    if (cli_args_has(run->args, "fingerprint")) {
        cli_body_options(b, "fingerprints", run->args, "fingerprint");
        return EXIT_OK;
    }
    cli_body_begin(&look);
    exit = add_hosts(run, &look);
    body = cli_body_end(&look);
    if (exit == EXIT_OK)
        exit = add_ask(run, body, b);
    json_free(body);
    return exit;
}

int cli_pool_add(struct cli_run *run)
{
    struct json *doc = NULL, *body;
    struct cli_body b;
    int exit, members = EXIT_OK;

    if (!cli_args_has(run->args, "host") || !cli_args_has(run->args, "user")) {
        fprintf(stderr, "cairn: a pool needs --host and --user\n");
        return EXIT_USAGE;
    }
    cli_body_begin(&b);
    cli_body_text(&b, "name", run->args->args[0]);
    cli_body_option(&b, "user", run->args, "user");
    exit = add_hosts(run, &b);
    if (exit == EXIT_OK)
        exit = add_trust(run, &b);
    if (exit == EXIT_OK)
        exit = add_secret(run, &b);
    body = cli_body_end(&b);
    if (exit == EXIT_OK)
        exit = cli_http_call(run, "POST", "/pools", body, &doc);
    json_free(body);
    if (exit == EXIT_OK) {
        members = add_members(run, &doc);
        exit = pool_print(run, doc);
    }
    json_free(doc);
    return exit == EXIT_OK ? members : exit;
}

int cli_pool_list(struct cli_run *run)
{
    struct json *items = NULL;
    int exit = cli_http_list(run, "/pools", &items);

    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_pool_show(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = pool_do(run, "GET", "", NULL, &doc);

    if (exit == EXIT_OK)
        exit = pool_print(run, doc);
    json_free(doc);
    return exit;
}

int cli_pool_test(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = pool_do(run, "POST", "/test", NULL, &doc);

    if (exit == EXIT_OK)
        exit = cli_out_checks(run, doc);
    json_free(doc);
    return exit;
}

int cli_pool_accept(struct cli_run *run)
{
    bool given = cli_args_has(run->args, "fingerprint");
    struct json *probe = NULL, *doc = NULL, *map = json_new_object();
    size_t shown = 0;
    int exit = pool_do(run, "POST", "/probe", NULL, &probe);

    if (exit == EXIT_OK)
        shown = show_untrusted(probe, "sha256", map);
    if (exit == EXIT_OK && given && !keep_given(run, &map))
        exit = EXIT_USAGE;
    if (exit == EXIT_OK && shown == 0) {
        fprintf(stderr, "all hosts that answer are trusted already\n");
    } else if (exit == EXIT_OK && json_count(map) == 0) {
        fprintf(stderr, "cairn: no host shows such a fingerprint; nothing "
                        "was accepted\n");
        exit = EXIT_NOT_FOUND;
    } else if (exit == EXIT_OK &&
               (given || cli_input_yes(run, "Trust these from now on?"))) {
        exit = accept_map(run, run->args->args[0], map, &doc);
        map = NULL;
    } else if (exit == EXIT_OK) {
        fprintf(stderr, "cairn: nothing was accepted%s\n",
                run->in_tty ? "" : ": give --fingerprint SHA256");
        exit = run->in_tty ? EXIT_DENIED : EXIT_USAGE;
    }
    if (exit == EXIT_OK && doc)
        exit = pool_print(run, doc);
    json_free(map);
    json_free(probe);
    json_free(doc);
    return exit;
}

int cli_pool_pause(struct cli_run *run)
{
    struct json *doc = NULL, *body;
    struct cli_body b;
    int exit;

    cli_body_begin(&b);
    cli_body_flag(&b, "paused", !cli_args_has(run->args, "off"));
    body = cli_body_end(&b);
    exit = pool_do(run, "PATCH", "", body, &doc);
    if (exit == EXIT_OK)
        exit = pool_print(run, doc);
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_pool_remove(struct cli_run *run)
{
    return pool_do(run, "DELETE", "", NULL, NULL);
}
