/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/catalog_fixture.h"
#include "tenants/catalog_audit.h"
#include "tenants/catalog_db.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_rule.h"
#include "tenants/catalog_token.h"

#define VM "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
#define VAULT_ID "a6cf46c72f1025063ca57acc80feee45"

/* Names of a page, with ',' behind each. */
struct names {
    char text[256];
    unsigned stop_after; /* 0: never */
    unsigned count;
};

static bool names_add(struct names *n, const char *name)
{
    size_t at = strlen(n->text);

    snprintf(n->text + at, sizeof(n->text) - at, "%s,", name);
    return ++n->count != n->stop_after;
}

static bool on_tenant(void *ctx, const struct catalog_tenant *t)
{
    return names_add(ctx, t->name);
}

static bool on_rule(void *ctx, const struct catalog_rule *r)
{
    return names_add(ctx, r->rule.value);
}

static bool on_vault(void *ctx, const struct catalog_vault *v)
{
    return names_add(ctx, v->name);
}

static bool on_pool(void *ctx, const struct catalog_pool *p)
{
    char text[64];

    snprintf(text, sizeof(text), "%s:%zu", p->name, p->host_count);
    return names_add(ctx, text);
}

static bool on_token(void *ctx, const struct catalog_token *t)
{
    return names_add(ctx, t->label);
}

static bool on_audit(void *ctx, const struct catalog_audit *a)
{
    return names_add(ctx, a->object);
}

static void a_list_comes_in_pages_without_gap_or_repeat(void **state)
{
    struct fixture *f = *state;
    struct catalog_page page = {.limit = 2};
    struct names n = {0};

    fixture_tenant(f, "delta");
    fixture_tenant(f, "alpha");
    fixture_tenant(f, "charlie");
    fixture_tenant(f, "bravo");
    assert_ok(f, catalog_tenant_each(f->c, &page, on_tenant, &n, &f->err));
    assert_string_equal(n.text, "alpha,bravo,");
    assert_string_equal(page.next, "bravo");
    fixture_tenant(f, "aaa"); /* before the cursor: not seen, none repeated */
    page.cursor = "bravo";
    memset(&n, 0, sizeof(n));
    assert_ok(f, catalog_tenant_each(f->c, &page, on_tenant, &n, &f->err));
    assert_string_equal(n.text, "charlie,delta,");
    assert_string_equal(page.next, "");
}

static void a_callback_that_says_enough_ends_the_list(void **state)
{
    struct fixture *f = *state;
    struct catalog_page page = {.limit = 100};
    struct names n = {.stop_after = 1};

    fixture_tenant(f, "alpha");
    fixture_tenant(f, "bravo");
    assert_ok(f, catalog_tenant_each(f->c, &page, on_tenant, &n, &f->err));
    assert_string_equal(n.text, "alpha,");
}

static void names_are_checked_and_unique(void **state)
{
    static const char *const bad[] = {
        "", "Acme", "a b", "a_b", "a'; DROP TABLE tenant; --",
        "12345678901234567890123456789012345678901"};
    struct fixture *f = *state;
    int64_t id;

    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        assert_int_equal(catalog_tenant_add(f->c, bad[i], "", &id, &f->err),
                         ERR_ARGUMENT);
    assert_int_equal(catalog_tenant_add(f->c, "a", "new\nline", &id, &f->err),
                     ERR_ARGUMENT);
    fixture_tenant(f, "acme");
    assert_int_equal(catalog_tenant_add(f->c, "acme", "", &id, &f->err),
                     ERR_CONFLICT);
    assert_string_equal(f->err.text, "tenant 'acme' exists already");
}

static void a_tenant_goes_along_the_arrows_only(void **state)
{
    static const struct {
        enum catalog_tenant_state to;
        enum err_code expect;
    } steps[] = {
        {CATALOG_TENANT_SUSPENDED, ERR_OK},
        {CATALOG_TENANT_SUSPENDED, ERR_OK},
        {CATALOG_TENANT_ACTIVE, ERR_OK},
        {CATALOG_TENANT_LEFT, ERR_OK},
        {CATALOG_TENANT_LEFT, ERR_OK},
        {CATALOG_TENANT_ACTIVE, ERR_CONFLICT},
        {CATALOG_TENANT_SUSPENDED, ERR_CONFLICT},
    };
    struct fixture *f = *state;

    fixture_tenant(f, "acme");
    for (size_t i = 0; i < BYTES_COUNT(steps); i++)
        assert_int_equal(catalog_tenant_set_state(f->c, "acme", steps[i].to,
                                                  &f->err),
                         steps[i].expect);
    assert_int_equal(catalog_tenant_set_state(f->c, "nobody",
                                              CATALOG_TENANT_ACTIVE, &f->err),
                     ERR_NOT_FOUND);
}

static void an_erased_tenant_leaves_nothing_but_audit_lines(void **state)
{
    struct fixture *f = *state;
    int64_t old = fixture_tenant(f, "acme"), id, rule;
    char token[SECRET_TOKEN_TEXT];
    struct catalog_token k;
    struct catalog_vault v;
    struct catalog_rule r;
    struct names n = {0};
    struct catalog_page page = {.limit = 10};

    fixture_pool(f, "p");
    fixture_vault(f, "acme", "main");
    assert_ok(f, catalog_rule_add(f->c, "acme", "p", RULE_TAG, "", "x", &rule,
                                  &f->err));
    assert_ok(f, catalog_token_add(f->c, "acme", "", 0, &id, token, &f->err));
    assert_ok(f, catalog_rule_move(f->c, VM, "acme", &f->err));
    assert_ok(f, catalog_audit_add(f->c,
                                   &(struct catalog_audit){
                                       .actor = "provider", .tenant_id = old,
                                       .tenant = "acme", .action = "a",
                                       .object = "o", .outcome = "ok",
                                       .detail = ""},
                                   &f->err));
    assert_int_equal(catalog_tenant_erase(f->c, "acme", &f->err),
                     ERR_CONFLICT);
    assert_ok(f, catalog_tenant_set_state(f->c, "acme", CATALOG_TENANT_LEFT,
                                          &f->err));
    assert_ok(f, catalog_tenant_erase(f->c, "acme", &f->err));
    assert_int_equal(catalog_token_use(f->c, token, &k, &f->err), ERR_DENIED);
    assert_int_equal(catalog_vault_get(f->c, 0, "main", &v, &f->err),
                     ERR_NOT_FOUND);
    assert_int_equal(catalog_rule_get(f->c, rule, &r, &f->err), ERR_NOT_FOUND);
    assert_ok(f, catalog_rule_owner(f->c, VM, &id, &f->err));
    assert_int_equal(id, 0);
    assert_ok(f, catalog_audit_each(f->c, old, 0, &page, on_audit, &n,
                                    &f->err));
    assert_string_equal(n.text, "o,");
    /* The name is free, its number is not. */
    assert_true(fixture_tenant(f, "acme") > old);
}

static void the_same_rule_twice_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    int64_t id, other;

    fixture_tenant(f, "acme");
    fixture_tenant(f, "globex");
    fixture_pool(f, "p");
    fixture_pool(f, "q");
    assert_ok(f, catalog_rule_add(f->c, "acme", "p", RULE_TAG, "", "x", &id,
                                  &f->err));
    assert_int_equal(catalog_rule_add(f->c, "acme", "p", RULE_TAG, "", "x",
                                      &other, &f->err),
                     ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "already"));
    assert_int_equal(catalog_rule_add(f->c, "globex", "p", RULE_TAG, "", "x",
                                      &other, &f->err),
                     ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "acme"));
    assert_ok(f, catalog_rule_add(f->c, "globex", "q", RULE_TAG, "", "x",
                                  &other, &f->err));
    assert_ok(f, catalog_rule_add(f->c, "globex", "p", RULE_NAME, "", "x",
                                  &other, &f->err));
    assert_int_equal(catalog_rule_add(f->c, "globex", "none", RULE_NAME, "",
                                      "x", &other, &f->err),
                     ERR_NOT_FOUND);
    assert_int_equal(catalog_rule_add(f->c, "none", "p", RULE_NAME, "", "x",
                                      &other, &f->err),
                     ERR_NOT_FOUND);
    assert_ok(f, catalog_rule_remove(f->c, id, &f->err));
    assert_int_equal(catalog_rule_remove(f->c, id, &f->err), ERR_NOT_FOUND);
}

static void rules_are_listed_by_tenant_and_pool(void **state)
{
    struct fixture *f = *state;
    int64_t acme = fixture_tenant(f, "acme");
    int64_t p = fixture_pool(f, "p"), id;
    struct catalog_page page = {.limit = 10};
    struct catalog_rule_set set;
    struct names n = {0};

    fixture_tenant(f, "globex");
    fixture_pool(f, "q");
    assert_ok(f, catalog_rule_add(f->c, "acme", "p", RULE_OTHER_CONFIG, "k",
                                  "v1", &id, &f->err));
    assert_ok(f, catalog_rule_add(f->c, "acme", "q", RULE_NAME, "", "v2", &id,
                                  &f->err));
    assert_ok(f, catalog_rule_add(f->c, "globex", "p", RULE_TAG, "", "v3", &id,
                                  &f->err));
    assert_ok(f, catalog_rule_each(f->c, acme, 0, &page, on_rule, &n,
                                   &f->err));
    assert_string_equal(n.text, "v1,v2,");
    memset(&n, 0, sizeof(n));
    assert_ok(f, catalog_rule_each(f->c, 0, p, &page, on_rule, &n, &f->err));
    assert_string_equal(n.text, "v1,v3,");
    page.cursor = "x";
    assert_int_equal(catalog_rule_each(f->c, 0, 0, &page, on_rule, &n,
                                       &f->err),
                     ERR_ARGUMENT);
    assert_ok(f, catalog_rule_set_get(f->c, p, &set, &f->err));
    assert_int_equal(set.count, 2);
    assert_string_equal(set.rules[0].key, "k");
    assert_int_equal(set.rules[0].kind, RULE_OTHER_CONFIG);
    catalog_rule_set_fini(&set);
}

static void a_pool_password_opens_and_is_not_in_the_file(void **state)
{
    struct fixture *f = *state;
    int64_t id = fixture_pool(f, "p"), bare;
    struct buf b;

    buf_init_secret(&b, 256);
    assert_ok(f, catalog_pool_password(f->c, id, &b, &f->err));
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "s3cret", 6);
    assert_ok(f, catalog_db_one(f->c, &f->err, "", &bare,
                                "SELECT instr(password, CAST('s3cret' AS BLOB))"
                                " FROM pool WHERE length(password) > 6", ""));
    assert_int_equal(bare, 0);
    buf_clear(&b);
    assert_ok(f, catalog_pool_set_password(f->c, id, "other", &f->err));
    assert_ok(f, catalog_pool_password(f->c, id, &b, &f->err));
    assert_memory_equal(b.data, "other", 5);
    buf_fini(&b);
    assert_int_equal(catalog_pool_password(f->c, id + 1, &b, &f->err),
                     ERR_NOT_FOUND);
}

static void members_keep_their_pins_and_the_vanished_go(void **state)
{
    struct fixture *f = *state;
    struct catalog_pool_host given = {.address = "pool.example", .uuid = "",
                                      .name = "", .entry = true, .dial = "",
                                      .pinned = true, .pin = {1}};
    struct catalog_pool p = {.name = "p", .user = "u", .ca_pem = "",
                             .pool_uuid = "", .hosts = &given,
                             .host_count = 1};
    struct catalog_pool_host two[2] = {
        {.address = "10.0.0.1", .uuid = "u1", .name = "h1", .dial = ""},
        {.address = "10.0.0.2", .uuid = "u2", .name = "h2", .dial = ""}};
    const uint8_t pin2[32] = {2}, pin3[32] = {3};
    struct catalog_pool got;
    int64_t id;

    assert_ok(f, catalog_pool_add(f->c, &p, "pw", &id, &f->err));
    assert_ok(f, catalog_pool_set_members(f->c, id, "pu", two, 2, &f->err));
    assert_ok(f, catalog_pool_host_accept(f->c, id, "10.0.0.2", pin2,
                                          &f->err));
    two[1].address = "10.0.0.9"; /* moved: known by its uuid */
    assert_ok(f, catalog_pool_set_members(f->c, id, "pu", two + 1, 1,
                                          &f->err));
    assert_ok(f, catalog_pool_host_seen(f->c, id, "10.0.0.9", pin3, &f->err));
    assert_ok(f, catalog_pool_get(f->c, "p", &got, &f->err));
    assert_string_equal(got.pool_uuid, "pu");
    assert_int_equal(got.host_count, 2);
    assert_string_equal(got.hosts[0].address, "pool.example");
    assert_true(got.hosts[0].entry && got.hosts[0].pinned);
    assert_string_equal(got.hosts[1].address, "10.0.0.9");
    assert_false(got.hosts[1].entry);
    assert_true(got.hosts[1].pinned);
    assert_memory_equal(got.hosts[1].pin, pin2, 32);
    assert_true(got.hosts[1].seen);
    assert_memory_equal(got.hosts[1].seen_pin, pin3, 32);
    catalog_pool_fini(&got);
    assert_int_equal(catalog_pool_host_accept(f->c, id, "10.0.0.1", pin2,
                                              &f->err),
                     ERR_NOT_FOUND);
}

static void a_pool_is_refused_when_unusable_and_removed_when_idle(void **state)
{
    struct fixture *f = *state;
    struct catalog_pool_host host = {.address = "a", .uuid = "", .name = "",
                                     .dial = ""};
    struct catalog_pool_host same[2] = {host, host};
    struct catalog_pool p = {.name = "p", .user = "u", .ca_pem = "",
                             .pool_uuid = "", .hosts = same};
    struct catalog_job job = {.kind = "backup", .vm_uuid = VM, .vm_name = "w",
                              .point = "", .params = "{}", .retry_of = ""};
    struct catalog_page page = {.limit = 10};
    char job_id[CATALOG_JOB_ID];
    struct names n = {0};
    int64_t id;

    assert_int_equal(catalog_pool_add(f->c, &p, "pw", &id, &f->err),
                     ERR_ARGUMENT);
    p.host_count = 2;
    assert_int_equal(catalog_pool_add(f->c, &p, "pw", &id, &f->err),
                     ERR_CONFLICT);
    assert_ok(f, catalog_pool_each(f->c, &page, on_pool, &n, &f->err));
    assert_string_equal(n.text, "");
    id = fixture_pool(f, "p");
    assert_ok(f, catalog_pool_set_paused(f->c, id, true, &f->err));
    assert_ok(f, catalog_pool_each(f->c, &page, on_pool, &n, &f->err));
    assert_string_equal(n.text, "p:1,");
    job.tenant_id = fixture_tenant(f, "acme");
    job.pool_id = id;
    assert_ok(f, catalog_job_add(f->c, &job, job_id, &f->err));
    assert_int_equal(catalog_pool_remove(f->c, id, &f->err), ERR_CONFLICT);
    assert_ok(f, catalog_job_finish(f->c, job_id,
                                    &(struct catalog_job_end){
                                        .state = CATALOG_JOB_SUCCEEDED},
                                    &f->err));
    assert_ok(f, catalog_pool_remove(f->c, id, &f->err));
    assert_int_equal(catalog_pool_remove(f->c, id, &f->err), ERR_NOT_FOUND);
}

static void a_vault_is_found_by_name_or_id_within_its_tenant(void **state)
{
    struct fixture *f = *state;
    int64_t acme = fixture_tenant(f, "acme");
    int64_t globex = fixture_tenant(f, "globex");
    int64_t one = fixture_vault(f, "acme", "main");
    int64_t two = fixture_vault(f, "globex", "main");
    struct catalog_page page = {.limit = 10};
    struct catalog_vault v;
    struct names n = {0};

    assert_ok(f, catalog_vault_get(f->c, acme, "main", &v, &f->err));
    assert_int_equal(v.id, one);
    assert_int_equal(v.state, CATALOG_VAULT_CREATING);
    assert_string_equal(v.traits, "");
    catalog_vault_fini(&v);
    assert_ok(f, catalog_vault_set_traits(f->c, one, "if-absent", &f->err));
    assert_ok(f, catalog_vault_get(f->c, acme, "main", &v, &f->err));
    assert_string_equal(v.traits, "if-absent");
    catalog_vault_fini(&v);
    assert_int_equal(catalog_vault_set_traits(f->c, 99, "", &f->err),
                     ERR_NOT_FOUND);
    assert_int_equal(catalog_vault_get(f->c, 0, "main", &v, &f->err),
                     ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "'acme' and 'globex'"));
    assert_ok(f, catalog_vault_set_state(f->c, two, CATALOG_VAULT_READY,
                                         VAULT_ID, "", &f->err));
    assert_ok(f, catalog_vault_get(f->c, 0, VAULT_ID, &v, &f->err));
    assert_int_equal(v.id, two);
    assert_int_equal(v.state, CATALOG_VAULT_READY);
    catalog_vault_fini(&v);
    assert_int_equal(catalog_vault_get(f->c, acme, VAULT_ID, &v, &f->err),
                     ERR_NOT_FOUND);
    assert_ok(f, catalog_vault_each(f->c, globex, &page, on_vault, &n,
                                    &f->err));
    assert_string_equal(n.text, "main,");
    assert_int_equal(catalog_vault_set_state(f->c, two, CATALOG_VAULT_READY,
                                             "nonsense", "", &f->err),
                     ERR_ARGUMENT);
}

static void vaults_that_clash_are_refused(void **state)
{
    struct fixture *f = *state;
    struct catalog_vault v = {.tenant = "acme", .name = "main",
                              .url = "s3://b/p", .endpoint = "https://e",
                              .region = "", .ca_pem = "", .lock = "none"};
    int64_t id;

    fixture_tenant(f, "acme");
    fixture_tenant(f, "globex");
    assert_ok(f, catalog_vault_add(f->c, &v, "keys", &id, &f->err));
    v.url = "s3://b/q";
    assert_int_equal(catalog_vault_add(f->c, &v, "", &id, &f->err),
                     ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "has a vault 'main' already"));
    v.tenant = "globex";
    v.url = "s3://b/p";
    assert_int_equal(catalog_vault_add(f->c, &v, "", &id, &f->err),
                     ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "lies at s3://b/p"));
    v.url = "http://b/p";
    assert_int_equal(catalog_vault_add(f->c, &v, "", &id, &f->err),
                     ERR_ARGUMENT);
    v.url = "s3://c/p";
    v.lock = "maybe";
    assert_int_equal(catalog_vault_add(f->c, &v, "", &id, &f->err),
                     ERR_ARGUMENT);
    v.lock = "compliance";
    assert_ok(f, catalog_vault_add(f->c, &v, "", &id, &f->err));
}

static void vault_secrets_come_back_each_from_its_place(void **state)
{
    struct fixture *f = *state;
    uint8_t state_bytes[3] = {0, 255, 0};
    int64_t id, other, bare;
    struct buf b;

    fixture_tenant(f, "acme");
    id = fixture_vault(f, "acme", "main");
    other = fixture_vault(f, "acme", "other");
    buf_init_secret(&b, 1024);
    assert_int_equal(catalog_vault_secret_get(f->c, id,
                                              CATALOG_VAULT_IDENTITY, &b,
                                              &f->err),
                     ERR_NOT_FOUND);
    assert_ok(f, catalog_vault_secret_set(
                     f->c, id, CATALOG_VAULT_IDENTITY,
                     (struct slice){(const uint8_t *)"secret", 6}, &f->err));
    assert_ok(f, catalog_vault_secret_set(
                     f->c, id, CATALOG_VAULT_WRITER_STATE,
                     (struct slice){state_bytes, 3}, &f->err));
    assert_ok(f, catalog_vault_secret_get(f->c, id,
                                          CATALOG_VAULT_WRITER_STATE, &b,
                                          &f->err));
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, state_bytes, 3);
    buf_clear(&b);
    assert_ok(f, catalog_vault_secret_get(f->c, id, CATALOG_VAULT_IDENTITY,
                                          &b, &f->err));
    assert_memory_equal(b.data, "secret", 6);
    assert_ok(f, catalog_db_one(f->c, &f->err, "", &bare,
                                "SELECT instr(identity, CAST('secret' AS BLOB))"
                                " FROM vault WHERE length(identity) > 6", ""));
    assert_int_equal(bare, 0);
    /* Who can write the file has nothing of putting it elsewhere. */
    assert_ok(f, catalog_db_exec(f->c, &f->err,
                                 "UPDATE vault SET identity = m.identity,"
                                 " credentials = m.identity"
                                 " FROM vault m WHERE m.name = 'main'", ""));
    assert_int_equal(catalog_vault_secret_get(f->c, other,
                                              CATALOG_VAULT_IDENTITY, &b,
                                              &f->err),
                     ERR_KEY);
    assert_int_equal(catalog_vault_secret_get(f->c, id,
                                              CATALOG_VAULT_CREDENTIALS, &b,
                                              &f->err),
                     ERR_KEY);
    buf_fini(&b);
    assert_ok(f, catalog_vault_remove(f->c, id, &f->err));
    assert_int_equal(catalog_vault_remove(f->c, id, &f->err), ERR_NOT_FOUND);
}

static void a_token_opens_until_expired_revoked_or_suspended(void **state)
{
    struct fixture *f = *state;
    char token[SECRET_TOKEN_TEXT], second[SECRET_TOKEN_TEXT];
    int64_t acme = fixture_tenant(f, "acme"), id, id2;
    struct catalog_token t;

    assert_ok(f, catalog_token_add(f->c, "acme", "ci", f->now_ms + 1000, &id,
                                   token, &f->err));
    assert_ok(f, catalog_token_add(f->c, "acme", "ops", 0, &id2, second,
                                   &f->err));
    assert_ok(f, catalog_token_use(f->c, token, &t, &f->err));
    assert_int_equal(t.tenant_id, acme);
    assert_string_equal(t.label, "ci");
    catalog_token_fini(&t);
    token[10] ^= 1; /* another digit, or no digit at all */
    assert_int_equal(catalog_token_use(f->c, token, &t, &f->err), ERR_DENIED);
    token[10] ^= 1;
    f->now_ms += 1000;
    assert_int_equal(catalog_token_use(f->c, token, &t, &f->err), ERR_DENIED);
    assert_ok(f, catalog_tenant_set_state(f->c, "acme",
                                          CATALOG_TENANT_SUSPENDED, &f->err));
    assert_int_equal(catalog_token_use(f->c, second, &t, &f->err), ERR_DENIED);
    assert_ok(f, catalog_tenant_set_state(f->c, "acme", CATALOG_TENANT_ACTIVE,
                                          &f->err));
    assert_ok(f, catalog_token_use(f->c, second, &t, &f->err));
    catalog_token_fini(&t);
    assert_ok(f, catalog_token_revoke(f->c, id2, &f->err));
    assert_ok(f, catalog_token_revoke(f->c, id2, &f->err));
    assert_int_equal(catalog_token_use(f->c, second, &t, &f->err), ERR_DENIED);
    assert_int_equal(catalog_token_add(f->c, "acme", "", f->now_ms, &id, token,
                                       &f->err),
                     ERR_ARGUMENT);
}

static void an_expired_token_is_denied_though_it_is_right(void **state)
{
    struct fixture *f = *state;
    char token[SECRET_TOKEN_TEXT];
    struct catalog_page page = {.limit = 10};
    struct catalog_token t;
    struct names n = {0};
    int64_t id;

    fixture_tenant(f, "acme");
    assert_ok(f, catalog_token_add(f->c, "acme", "ci", f->now_ms + 1000, &id,
                                   token, &f->err));
    f->now_ms += 999;
    assert_ok(f, catalog_token_use(f->c, token, &t, &f->err));
    catalog_token_fini(&t);
    f->now_ms += 1;
    assert_int_equal(catalog_token_use(f->c, token, &t, &f->err), ERR_DENIED);
    assert_ok(f, catalog_token_each(f->c, 0, &page, on_token, &n, &f->err));
    assert_string_equal(n.text, "ci,");
    assert_ok(f, catalog_token_get(f->c, id, &t, &f->err));
    assert_int_equal(t.last_used_ms, f->now_ms - 1);
    catalog_token_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, \
                                                  fixture_teardown)
        ROW(a_list_comes_in_pages_without_gap_or_repeat),
        ROW(a_callback_that_says_enough_ends_the_list),
        ROW(names_are_checked_and_unique),
        ROW(a_tenant_goes_along_the_arrows_only),
        ROW(an_erased_tenant_leaves_nothing_but_audit_lines),
        ROW(the_same_rule_twice_is_a_conflict),
        ROW(rules_are_listed_by_tenant_and_pool),
        ROW(a_pool_password_opens_and_is_not_in_the_file),
        ROW(members_keep_their_pins_and_the_vanished_go),
        ROW(a_pool_is_refused_when_unusable_and_removed_when_idle),
        ROW(a_vault_is_found_by_name_or_id_within_its_tenant),
        ROW(vaults_that_clash_are_refused),
        ROW(vault_secrets_come_back_each_from_its_place),
        ROW(a_token_opens_until_expired_revoked_or_suspended),
        ROW(an_expired_token_is_denied_though_it_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
