/* SPDX-License-Identifier: Apache-2.0 */
/* The program cairn against the control API, with a backend of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cli_rig.h"
#include "tests/unit/net_peer.h"

#define PIN_AA                                                                 \
    "00000000000000000000000000000000000000000000000000000000000000aa"

static struct cli_rig program;

static void closed_standard_files_are_nobody_elses(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;

    for (p->closed = 1; p->closed <= 7; p->closed++) {
        bool mute = p->closed & 2;

        assert_exit(mute ? 1 : 0, RUN("tenant", "list"));
        if (!mute)
            assert_has(p->out, "acme");
        if (mute && !(p->closed & 4))
            assert_has(p->err, "standard output");
    }
    p->closed = 0;
}

static void tenants_tokens_and_rules_by_hand(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char path[128];
    struct stat st;

    assert_exit(0, RUN("tenant", "add", "initech", "--title", "I & Co"));
    assert_has(p->out, "I & Co");
    assert_exit(7, RUN("tenant", "add", "initech"));
    assert_string_equal(p->out, "");
    assert_string_equal(p->err, "cairn: tenant 'initech' exists already\n");
    assert_exit(2, RUN("tenant", "add", "No Name"));
    assert_exit(4, RUN("tenant", "show", "nobody"));
    assert_exit(0, RUN("tenant", "list"));
    assert_has(p->out, "NAME");
    assert_has(p->out, "globex");
    assert_exit(0, RUN("tenant", "list", "--json"));
    assert_true(p->out[0] == '[');
    assert_exit(0, RUN("tenant", "suspend", "initech"));
    assert_has(p->out, "suspended");
    assert_exit(0, RUN("tenant", "leave", "initech"));
    assert_exit(2, RUN("tenant", "erase", "initech"));
    assert_exit(2, RUN("tenant", "erase", "initech", "--confirm", "x"));
    assert_exit(0, RUN("tenant", "erase", "initech", "--confirm", "initech"));
    cli_rig_file(r, "token", path);
    assert_exit(0, RUN("token", "add", "--tenant", "acme", "--expires", "30d",
                       "--out", path));
    assert_string_equal(p->out, "");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_exit(7, RUN("token", "add", "--tenant", "acme", "--out", path));
    assert_exit(0, RUN("tenant", "list", "--token-file", path));
    assert_null(strstr(p->out, "globex"));
    assert_exit(5, RUN("rule", "list", "--token-file", path));
    assert_exit(0, RUN("token", "revoke", "3"));
    assert_exit(5, RUN("tenant", "list", "--token-file", path));
    unlink(path);
    assert_exit(0, RUN("rule", "add", "--tenant", "acme", "--pool", "east",
                       "--other-config", "owner=a=b"));
    assert_has(p->out, "a=b");
    assert_exit(2, RUN("rule", "add", "--tenant", "acme", "--pool", "east"));
    assert_exit(2, RUN("rule", "add", "--tenant", "acme", "--pool", "east",
                       "--tag", "a", "--name", "b"));
    assert_exit(0, RUN("rule", "remove", "3"));
    assert_exit(4, RUN("rule", "remove", "3"));
    assert_exit(0, RUN("audit"));
    assert_has(p->out, "rule.remove");
}

static void problems_are_one_line_of_json_on_request(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;

    assert_exit(10, RUN("vault", "show", "none", "--json"));
    assert_string_equal(p->out, "");
    assert_string_equal(p->err, "{\"code\":\"not_found\",\"exit\":10,"
                                "\"detail\":\"no vault 'none'\"}\n");
}

static void without_a_server_it_says_so_and_exits_75(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char path[128];

    assert_exit(75, RUN("tenant", "list", "--server", "/nowhere/s"));
    assert_has(p->err, "no cairnd answers at /nowhere/s (No such file");
    cli_rig_write(r, "left", "", path); /* of a daemon that was killed */
    assert_exit(75, RUN("tenant", "list", "--server", path));
    assert_has(p->err, "(nobody listens there)");
    unlink(path);
    assert_exit(2, RUN("--server", path, "tenant", "list"));
    assert_has(p->err, "a noun comes before the options");
    assert_exit(2, RUN("tenant", "list", "--server", "http://h"));
    assert_exit(2, RUN("tenant", "list", "--server", "https://h/path"));
    assert_exit(1, RUN("tenant", "list", "--token-file", "/nowhere/t"));
    assert_exit(75, RUN("version", "--server", "/nowhere/s"));
    assert_has(p->out, "cairn");
}

#define LOOK                                                                   \
    "{\"hosts\":[{\"address\":\"h1\",\"uuid\":\"u1\",\"name\":\"n1\","         \
    "\"sha256\":\"" PIN_AA "\",\"trusted\":%s,\"coordinator\":true,"           \
    "\"error\":null}],\"pool\":{\"uuid\":\"pu\",\"name\":\"x\","               \
    "\"version\":\"8.3\"}}"

static void a_pool_is_never_trusted_silently(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char path[128], doc[512];

    cli_rig_write(r, "pw", "s3cret\n", path);
    snprintf(doc, sizeof(doc), LOOK, "false");
    r->doc = doc;
    assert_exit(2, RUN("pool", "add", "west", "--host", "h1", "--user", "u",
                       "--password-file", path));
    assert_string_equal(r->asked, "pool_probe;"); /* a look, no pool */
    assert_string_equal(r->params, "1 hosts, user , 0 pins");
    assert_has(p->err, "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:"
                       "00:00:00:00:00:00:00:00:00:00:00:00:00:AA");
    assert_has(p->err, "--fingerprint");
    snprintf(doc, sizeof(doc), LOOK, "true");
    assert_exit(0, RUN("pool", "add", "west", "--host", "h1", "--user", "u",
                       "--password-file", path, "--fingerprint", PIN_AA));
    assert_has(p->out, "west");
    assert_has(p->out, "00:AA");
    assert_exit(2, RUN("pool", "add", "x", "--host", "h1", "--user", "u",
                       "--password-file", path, "--fingerprint", PIN_AA,
                       "--host-address", "nonsense"));
    /* Nobody is there to type a password. */
    assert_exit(2, RUN("pool", "add", "x", "--host", "h1", "--user", "u",
                       "--fingerprint", PIN_AA));
    assert_has(p->err, "--password-file");
    unlink(path);
    assert_exit(0, RUN("pool", "pause", "west"));
    assert_exit(0, RUN("pool", "pause", "west", "--off"));
    assert_exit(0, RUN("pool", "accept", "west"));
    assert_has(p->err, "trusted already");
    snprintf(doc, sizeof(doc), LOOK, "false");
    assert_exit(2, RUN("pool", "accept", "west"));
    assert_exit(0, RUN("pool", "accept", "west", "--fingerprint",
                       "sha256:" PIN_AA));
    r->doc = "{\"ok\":false,\"checks\":[{\"name\":\"login\",\"ok\":false,"
             "\"text\":\"no\"}]}";
    assert_exit(1, RUN("pool", "test", "west"));
    assert_exit(0, RUN("pool", "remove", "west"));
}

static void a_recovery_file_is_made_first_and_proved_last(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;
    char path[128], text[CLI_RIG_TEXT];
    struct stat st;

    cli_rig_file(r, "recovery", path);
    r->doc = "{\"vault_id\":\"" RIG_VAULT_ID "\",\"recovery_key_file\":"
             "\"cairn key 1\\nvault x\\n\",\"opens\":true}";
    assert_exit(2, RUN("vault", "add", "deep", "--tenant", "acme", "--url",
                       "file:///d"));
    assert_has(p->err, "--recovery-out");
    /* The test's backend leaves the vault `creating`: the key cannot be tried,
     * and the command does not say that all is well. */
    assert_exit(7, RUN("vault", "add", "deep", "--tenant", "acme", "--url",
                       "file:///d", "--recovery-out", path));
    assert_string_equal(r->asked, "vault_create;");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    cli_rig_read(path, text);
    assert_string_equal(text, "cairn key 1\nvault x\n");
    /* What exists is not touched, and the server is not asked. */
    cli_rig_write(r, "recovery", "old", path);
    assert_exit(7, RUN("vault", "add", "more", "--tenant", "acme", "--url",
                       "file:///e", "--recovery-out", path));
    assert_string_equal(r->asked, "");
    cli_rig_read(path, text);
    assert_string_equal(text, "old");
    /* A server that refuses leaves no empty file behind. */
    err_set(&r->err, ERR_UNREACHABLE, 0, "store: refused");
    assert_exit(13, RUN("vault", "add", "more", "--tenant", "acme", "--url",
                        "s3://b/p", "--recovery-out", path));
    assert_int_equal(access(path, F_OK), -1);
    err_clear(&r->err);
    r->doc = "{\"opens\":true,\"keys\":3}";
    cli_rig_write(r, "key", "cairn key 1\n", path);
    assert_exit(0, RUN("key", "test", "--vault", "main", "--tenant", "acme",
                       "--key-file", path));
    assert_string_equal(r->params, "cairn key 1\n");
    err_set(&r->err, ERR_KEY, 0, "the passphrase is wrong");
    assert_exit(11, RUN("key", "test", "--vault", "main", "--tenant", "acme",
                        "--key-file", path));
    err_clear(&r->err);
    unlink(path);
}

static void an_existing_vault_says_what_to_do_next(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char path[128], text[CLI_RIG_TEXT];

    r->doc = "{\"vault_id\":\"" RIG_VAULT_ID "\",\"points\":5}";
    cli_rig_write(r, "key", "cairn key 1\n", path);
    assert_exit(0, RUN("vault", "add", "far", "--tenant", "acme", "--url",
                       "file:///f", "--existing", "--key-file", path));
    assert_string_equal(r->params, "cairn key 1\n|");
    assert_has(p->err, "5 points found");
    unlink(path);
    assert_exit(2, RUN("vault", "add", "x", "--tenant", "acme", "--url",
                       "file:///x", "--existing"));
    assert_exit(2, RUN("vault", "add", "x", "--tenant", "acme", "--url",
                       "file:///x", "--key-file", "k"));
    r->doc = "{\"tag\":\"t1\",\"wraps\":3,\"key_file\":\"cairn key 1\\n\"}";
    assert_exit(0, RUN("key", "grant", "--vault", "main", "--tenant", "acme",
                       PIN_AA));
    assert_has(p->err, "t1");
    cli_rig_file(r, "exported", path);
    assert_exit(0, RUN("key", "export", "--vault", "main", "--tenant", "acme",
                       "--out", path));
    cli_rig_read(path, text);
    assert_string_equal(text, "cairn key 1\n");
    r->doc = "[{\"tag\":\"t1\",\"recipient\":\"gateway\",\"what\":\"root\","
             "\"key_id\":\"k\",\"object\":\"o\"}]";
    assert_exit(0, RUN("key", "list", "--vault", "main", "--tenant", "acme"));
    assert_has(p->out, "gateway");
    assert_exit(2, RUN("key", "list"));
    assert_exit(7, RUN("vault", "show", "main"));
    assert_has(p->err, "name the tenant");
    assert_exit(0, RUN("vault", "remove", "main", "--tenant", "acme"));
}

static void vms_and_points_are_listed(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    assert_exit(0, RUN("vm", "list"));
    assert_has(p->out, "globex-db");
    r->pool_down = true;
    assert_exit(12, RUN("vm", "list", "--uncovered"));
    assert_null(strstr(p->out, "acme-web"));
    assert_has(p->err, "pool 'west' does not answer");
    assert_exit(12, RUN("vm", "show", "nothing"));
    r->pool_down = false;
    assert_exit(0, RUN("vm", "show", "east/acme-web"));
    assert_exit(0, RUN("vm", "move", "acme-web", "--tenant", "globex"));
    assert_exit(0, RUN("vm", "list", "--contested"));
    assert_has(p->out, "acme-web");
    assert_exit(0, RUN("point", "list", "--vm", "east/acme-web"));
    assert_has(p->out, RIG_POINT);
    r->doc = "{\"points\":1}";
    assert_exit(0, RUN("point", "list", "--refresh", "--tenant", "acme"));
    assert_string_equal(r->asked, "point_refresh;");
    assert_exit(0, RUN("point", "show", "acme-web@2026-11-20"));
    assert_has(p->out, "xva");
    assert_exit(4, RUN("point", "show", "acme-web@2026-11-21"));
    assert_exit(0, RUN("point", "verify", RIG_POINT, "--no-wait"));
    assert_string_equal(r->asked, "verify;");
    r->doc = "{\"gateway\":\"gw-1\",\"jobs_running\":2}";
    assert_exit(0, RUN("status"));
    assert_has(p->out, "gw-1");
    assert_exit(0, RUN("version"));
    assert_has(p->out, "provider");
}

/* Names that would move the cursor, begin a line, or write from the right. */
static void names_from_elsewhere_do_nothing_to_a_terminal(void **state)
{
    static const char odd[] = "acme-\x1b[2J\nok\xc2\x9b" "1m\xe2\x80\xae/../x";
    static const char *const nothing_of[] = {"\x1b", "\xc2\x9b",
                                             "\xe2\x80\xae", "\nok"};
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;
    struct err cause;
    struct cli_rig_ending e = {.end = {.state = CATALOG_JOB_FAILED,
                               .cause = &cause, .exit = 13}};
    char id[CATALOG_JOB_ID];
    const char *const commands[][6] = {
        {"vm", "list"},      {"vm", "show", RIG_VM_1},
        {"backup", RIG_VM_1}, {"job", "list"},
        {"job", "show", id}, {"job", "log", id},
        {"point", "list"},   {"point", "show", RIG_POINT, "--tenant", "acme"},
    };

    r->vms[0].rule.name = odd;
    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, odd, true);
    assert_exit(0, RUN("backup", RIG_VM_1, "--no-wait"));
    snprintf(id, sizeof(id), "%.16s", p->out);
    assert_ok(&r->f, catalog_job_log_add(r->f.c, id, "info", odd, &r->f.err));
    err_set(&cause, ERR_UNREACHABLE, 0, "VM %s: refused", odd);
    p->tick = cli_rig_end_job;
    p->user = &e;
    for (size_t i = 0; i < BYTES_COUNT(commands); i++) {
        int code = cli_rig_run(p, r, commands[i]);

        if (code != 0 && code != 13)
            fail_msg("%s %s: %s", commands[i][0], commands[i][1], p->err);
        assert_has(i == 2 ? p->err : p->out, "acme-?[2J?ok");
        for (size_t k = 0; k < BYTES_COUNT(nothing_of); k++)
            if (strstr(p->out, nothing_of[k]) || strstr(p->err, nothing_of[k]))
                fail_msg("%s %s: %s%s", commands[i][0], commands[i][1], p->out,
                         p->err);
    }
    /* What is said beside the JSON is for a person, too. */
    assert_exit(13, RUN("backup", RIG_VM_1, "--json"));
    assert_has(p->err, "acme-?[2J?ok");
    for (size_t k = 0; k < BYTES_COUNT(nothing_of); k++)
        assert_null(strstr(p->err, nothing_of[k]));
    p->tick = NULL;
    /* A program gets it as it is, escaped as JSON escapes. */
    assert_exit(0, RUN("vm", "show", RIG_VM_1, "--json"));
    assert_has(p->out, "acme-\\u001B[2J\\nok");
    r->vms[0].rule.name = "acme-web";
}

static void a_person_is_asked_about_certificates_and_passwords(void **state)
{
    static const char *const no[][2] = {{"Trust it? [y/N]", "n\n"}, {0}};
    static const char *const yes[][2] = {{"Trust it? [y/N]", "y\n"},
                                         {"Password of u at h1:", "s3cret\n"},
                                         {"Trust these members", "n\n"},
                                         {0}};
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char doc[512];
    struct buf password;
    struct catalog_pool pool;

    snprintf(doc, sizeof(doc), LOOK, "false");
    r->doc = doc;
    cli_rig_terminal_open(p, no);
    assert_exit(5, RUN("pool", "add", "west", "--host", "h1", "--user", "u"));
    assert_string_equal(r->asked, "pool_probe;");
    assert_has(p->seen, "00:AA");
    cli_rig_terminal_close(p);
    cli_rig_terminal_open(p, yes);
    assert_exit(3, RUN("pool", "add", "west", "--host", "h1", "--user", "u"));
    assert_has(r->asked, "pool_probe;pool_probe;pool_changed;");
    assert_null(strstr(p->seen, "s3cret")); /* no echo */
    cli_rig_terminal_close(p);
    assert_ok(&r->f, catalog_pool_get(r->f.c, "west", &pool, &r->f.err));
    buf_init_secret(&password, 100);
    assert_ok(&r->f, catalog_pool_password(r->f.c, pool.id, &password,
                                           &r->f.err));
    assert_string_equal(buf_text(&password), "s3cret");
    buf_fini(&password);
    catalog_pool_fini(&pool);
}

static void over_tcp_a_token_and_a_trusted_certificate_are_needed(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;
    struct peer_cert good = peer_cert_new("127.0.0.1", false, NULL, -1, 10);
    struct peer_cert bad = peer_cert_new("127.0.0.1", false, NULL, -1, 10);
    char *cert = peer_cert_pem(&good), *key = peer_key_pem(&good);
    char *other = peer_cert_pem(&bad);
    char ca[128], wrong[128], token[128], server[64];
    struct err err;

    assert_int_equal(api_open(r->api,
                              &(struct api_listen){.address = "127.0.0.1:0",
                                                   .cert_pem = cert,
                                                   .key_pem = key},
                              &err),
                     ERR_OK);
    snprintf(server, sizeof(server), "https://127.0.0.1:%u",
             api_port(r->api, 1));
    cli_rig_write(r, "ca", cert, ca);
    cli_rig_write(r, "wrong", other, wrong);
    cli_rig_write(r, "token", w->acme_token, token);
    assert_exit(0, RUN("tenant", "list", "--server", server, "--server-ca", ca,
                       "--token-file", token));
    assert_has(p->out, "acme");
    assert_null(strstr(p->out, "globex"));
    assert_exit(5, RUN("tenant", "list", "--server", server, "--server-ca",
                       ca));
    assert_has(p->err, "a token is needed");
    assert_exit(75, RUN("tenant", "list", "--server", server, "--server-ca",
                        wrong, "--token-file", token));
    assert_has(p->err, "--server-ca FILE names the CA");
    assert_exit(75, RUN("tenant", "list", "--server", server, "--token-file",
                        token));
    unlink(ca);
    unlink(wrong);
    unlink(token);
    free(cert);
    free(key);
    free(other);
    peer_cert_free(&good);
    peer_cert_free(&bad);
}

static void the_completion_script_is_one(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    char path[128], command[512], line[64] = "";
    FILE *f;

    assert_exit(0, RUN("completion", "bash"));
    cli_rig_write(r, "script", p->out, path);
    snprintf(command, sizeof(command),
             "bash -c '. %s; COMP_WORDS=(cairn pool ac); COMP_CWORD=2; _cairn; "
             "echo ${COMPREPLY[*]}'",
             path);
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_int_equal(pclose(f), 0);
    assert_string_equal(line, "accept\n");
    unlink(path);
    assert_exit(2, RUN("completion", "zsh"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(closed_standard_files_are_nobody_elses),
        ROW(tenants_tokens_and_rules_by_hand),
        ROW(problems_are_one_line_of_json_on_request),
        ROW(without_a_server_it_says_so_and_exits_75),
        ROW(a_pool_is_never_trusted_silently),
        ROW(a_recovery_file_is_made_first_and_proved_last),
        ROW(an_existing_vault_says_what_to_do_next),
        ROW(vms_and_points_are_listed),
        ROW(names_from_elsewhere_do_nothing_to_a_terminal),
        ROW(a_person_is_asked_about_certificates_and_passwords),
        ROW(over_tcp_a_token_and_a_trusted_certificate_are_needed),
        ROW(the_completion_script_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
