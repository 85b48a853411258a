/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_route.h"

#include <stdio.h>
#include <string.h>

#include "gateway/api_handlers.h"

#define FIELD_ITEMS_MAX 1000

#define FIELDS(rows) rows, BYTES_COUNT(rows)
#define TEXT(name) {name, API_FIELD_TEXT, false}
#define NEED(name) {name, API_FIELD_TEXT, true}
#define FLAG(name) {name, API_FIELD_BOOL, false}
#define TEXTS(name) {name, API_FIELD_TEXTS, false}
#define TEXT_MAP(name) {name, API_FIELD_TEXT_MAP, false}

static const struct api_field tenant_add[] = {NEED("name"), TEXT("title")};
static const struct api_field tenant_set[] = {NEED("title")};
static const struct api_field tenant_erase[] = {NEED("confirm")};
static const struct api_field token_add[] = {NEED("tenant"), TEXT("label"),
                                             TEXT("expires")};
static const struct api_field rule_add[] = {
    NEED("tenant"), NEED("pool"), NEED("kind"), TEXT("key"), NEED("value")};
static const struct api_field pool_look[] = {
    {"hosts", API_FIELD_TEXTS, true}, TEXT("user"), TEXT("password"),
    TEXTS("fingerprints"), TEXT("ca"), TEXT_MAP("host_addresses")};
static const struct api_field pool_add[] = {
    NEED("name"), {"hosts", API_FIELD_TEXTS, true}, NEED("user"),
    NEED("password"), TEXTS("fingerprints"), TEXT("ca"),
    TEXT_MAP("host_addresses")};
static const struct api_field pool_set[] = {FLAG("paused"), TEXT("password")};
static const struct api_field pool_accept[] = {
    {"fingerprints", API_FIELD_TEXT_MAP, true}};
static const struct api_field vm_move[] = {NEED("tenant")};
static const struct api_field vault_add[] = {
    NEED("name"), NEED("tenant"), NEED("url"), TEXT("endpoint"),
    TEXT("region"), TEXT("credentials"), TEXT("ca"), TEXT("lock"),
    FLAG("existing"), TEXT("key_file"), TEXT("vault_id")};
static const struct api_field key_test[] = {NEED("key_file")};
static const struct api_field key_grant[] = {NEED("public_key")};
static const struct api_field backup_start[] = {
    TEXTS("vms"), TEXT("tenant"), TEXT("vault")};
static const struct api_field restore_start[] = {
    NEED("point"), TEXT("tenant"), TEXT("vault"), TEXT("pool"),
    TEXT_MAP("sr"), TEXT_MAP("network"), TEXT("mac"), TEXT("uuid"),
    TEXT("name"), FLAG("start"), FLAG("dry_run"), TEXT("output"),
    {"disk", API_FIELD_INT, false}, TEXT("checksum")};

/* Wide on purpose: one line per route. */
/* clang-format off */
const struct api_route api_route_table[] = {
{AUTHZ_ROUTE_LIST, "GET", "", "", NULL, 0, api_about_routes, NULL},
{AUTHZ_VERSION_SHOW, "GET", "/version", "", NULL, 0, api_about_version, NULL},
{AUTHZ_STATUS_SHOW, "GET", "/status", "", NULL, 0, api_about_status, NULL},
{AUTHZ_AUDIT_LIST, "GET", "/audit", "limit cursor tenant since", NULL, 0, NULL, api_about_audit},

{AUTHZ_TENANT_LIST, "GET", "/tenants", "limit cursor", NULL, 0, NULL, api_tenant_list},
{AUTHZ_TENANT_ADD, "POST", "/tenants", "", FIELDS(tenant_add), NULL, api_tenant_add},
{AUTHZ_TENANT_SHOW, "GET", "/tenants/{tenant}", "", NULL, 0, NULL, api_tenant_show},
{AUTHZ_TENANT_SET, "PATCH", "/tenants/{tenant}", "", FIELDS(tenant_set), NULL, api_tenant_set},
{AUTHZ_TENANT_SUSPEND, "POST", "/tenants/{tenant}/suspend", "", NULL, 0, api_tenant_suspend, NULL},
{AUTHZ_TENANT_RESUME, "POST", "/tenants/{tenant}/resume", "", NULL, 0, NULL, api_tenant_resume},
{AUTHZ_TENANT_LEAVE, "POST", "/tenants/{tenant}/leave", "", NULL, 0, NULL, api_tenant_leave},
{AUTHZ_TENANT_ERASE, "POST", "/tenants/{tenant}/erase", "", FIELDS(tenant_erase), api_tenant_erase, NULL},

{AUTHZ_TOKEN_LIST, "GET", "/tokens", "limit cursor tenant", NULL, 0, NULL, api_token_list},
{AUTHZ_TOKEN_ADD, "POST", "/tokens", "", FIELDS(token_add), NULL, api_token_add},
{AUTHZ_TOKEN_REVOKE, "DELETE", "/tokens/{token}", "", NULL, 0, api_token_revoke, NULL},

{AUTHZ_RULE_LIST, "GET", "/rules", "limit cursor tenant pool", NULL, 0, NULL, api_rule_list},
{AUTHZ_RULE_ADD, "POST", "/rules", "", FIELDS(rule_add), NULL, api_rule_add},
{AUTHZ_RULE_REMOVE, "DELETE", "/rules/{rule}", "", NULL, 0, NULL, api_rule_remove},

{AUTHZ_POOL_LIST, "GET", "/pools", "limit cursor", NULL, 0, NULL, api_pool_list},
{AUTHZ_POOL_ADD, "POST", "/pools", "", FIELDS(pool_add), api_pool_add, NULL},
{AUTHZ_POOL_LOOK, "POST", "/pool-probes", "", FIELDS(pool_look), api_pool_look, NULL},
{AUTHZ_POOL_SHOW, "GET", "/pools/{pool}", "", NULL, 0, api_pool_view, NULL},
{AUTHZ_POOL_SET, "PATCH", "/pools/{pool}", "", FIELDS(pool_set), api_pool_set, NULL},
{AUTHZ_POOL_REMOVE, "DELETE", "/pools/{pool}", "", NULL, 0, api_pool_remove, NULL},
{AUTHZ_POOL_PROBE, "POST", "/pools/{pool}/probe", "", NULL, 0, api_pool_probe, NULL},
{AUTHZ_POOL_TEST, "POST", "/pools/{pool}/test", "", NULL, 0, api_pool_test, NULL},
{AUTHZ_POOL_ACCEPT, "POST", "/pools/{pool}/accept", "", FIELDS(pool_accept), api_pool_accept, NULL},

{AUTHZ_VM_LIST, "GET", "/vms", "limit cursor pool tenant uncovered contested", NULL, 0, api_vm_list, NULL},
{AUTHZ_VM_SHOW, "GET", "/vms/{vm}", "", NULL, 0, api_vm_show, NULL},
{AUTHZ_VM_MOVE, "POST", "/vms/{vm}/move", "", FIELDS(vm_move), NULL, api_vm_move},
{AUTHZ_VM_RESOLVE, "GET", "/resolve/vm", "ref", NULL, 0, api_vm_resolve, NULL},

{AUTHZ_VAULT_LIST, "GET", "/vaults", "limit cursor tenant", NULL, 0, NULL, api_vault_list},
{AUTHZ_VAULT_ADD, "POST", "/vaults", "", FIELDS(vault_add), api_vault_add, NULL},
{AUTHZ_VAULT_SHOW, "GET", "/vaults/{vault}", "tenant", NULL, 0, NULL, api_vault_show},
{AUTHZ_VAULT_REMOVE, "DELETE", "/vaults/{vault}", "tenant", NULL, 0, api_vault_remove, NULL},
{AUTHZ_VAULT_TEST, "POST", "/vaults/{vault}/test", "tenant", NULL, 0, api_vault_test, NULL},
{AUTHZ_VAULT_REFRESH, "POST", "/vaults/{vault}/refresh", "tenant", NULL, 0, api_vault_refresh, NULL},
{AUTHZ_KEY_LIST, "GET", "/vaults/{vault}/keys", "tenant", NULL, 0, api_key_list, NULL},
{AUTHZ_KEY_TEST, "POST", "/vaults/{vault}/keys/test", "tenant", FIELDS(key_test), api_key_test, NULL},
{AUTHZ_KEY_GRANT, "POST", "/vaults/{vault}/keys/grant", "tenant", FIELDS(key_grant), api_key_grant, NULL},
{AUTHZ_KEY_EXPORT, "POST", "/vaults/{vault}/keys/export", "tenant", NULL, 0, api_key_export, NULL},

{AUTHZ_BACKUP_START, "POST", "/backups", "", FIELDS(backup_start), api_backup_start, NULL},

{AUTHZ_POINT_LIST, "GET", "/points", "limit cursor tenant vault vm pool from before", NULL, 0, NULL, api_point_list},
{AUTHZ_POINT_SHOW, "GET", "/points/{point}", "tenant vault", NULL, 0, NULL, api_point_show},
{AUTHZ_POINT_VERIFY, "POST", "/points/{point}/verify", "tenant vault", NULL, 0, api_point_verify, NULL},
{AUTHZ_POINT_RESOLVE, "GET", "/resolve/point", "ref tenant vault", NULL, 0, NULL, api_point_resolve},

{AUTHZ_RESTORE_START, "POST", "/restores", "", FIELDS(restore_start), api_restore_start, NULL},

{AUTHZ_JOB_LIST, "GET", "/jobs", "limit cursor tenant kind vm vault state unfinished failed since", NULL, 0, NULL, api_job_list},
{AUTHZ_JOB_SHOW, "GET", "/jobs/{job}", "seen wait_ms", NULL, 0, api_job_show, NULL},
{AUTHZ_JOB_LOG, "GET", "/jobs/{job}/log", "after limit wait_ms", NULL, 0, api_job_log, NULL},
{AUTHZ_JOB_CANCEL, "POST", "/jobs/{job}/cancel", "", NULL, 0, api_job_cancel, NULL},
{AUTHZ_JOB_RETRY, "POST", "/jobs/{job}/retry", "", NULL, 0, api_job_retry, NULL},
};
/* clang-format on */

const size_t api_route_count = BYTES_COUNT(api_route_table);

/* Does a path, whose parts lie behind one another, fit a pattern? */
static bool route_fits(const char *pattern, char *const *parts, size_t count,
                       const char *args[API_CALL_ARGS])
{
    size_t arg = 0;

    for (size_t i = 0; i < count; i++) {
        size_t len;

        if (*pattern != '/')
            return false;
        len = strcspn(++pattern, "/");
        if (*pattern == '{')
            args[arg++] = parts[i];
        else if (strlen(parts[i]) != len ||
                 strncmp(pattern, parts[i], len) != 0)
            return false;
        pattern += len;
    }
    return *pattern == '\0';
}

#define PARTS_MAX 8

/* False: not a path, or one of more parts than any route has. */
static bool path_cut(char *path, char *parts[PARTS_MAX], size_t *count)
{
    *count = 0;
    while (*path == '/' && *count < PARTS_MAX) {
        *path++ = '\0';
        parts[(*count)++] = path;
        path += strcspn(path, "/");
    }
    return !*path;
}

const struct api_route *api_route_find(const char *method, char *path,
                                       const char *args[API_CALL_ARGS],
                                       char *allow, size_t allow_size,
                                       int *status, struct err *err)
{
    const size_t prefix = sizeof(API_ROUTE_PREFIX) - 1;
    char *parts[PARTS_MAX];
    size_t count;

    allow[0] = '\0';
    *status = 404;
    if (strncmp(path, API_ROUTE_PREFIX, prefix) != 0 ||
        (path[prefix] && path[prefix] != '/')) {
        err_set(err, ERR_NOT_FOUND, 0, "nothing is here; the API begins at %s",
                API_ROUTE_PREFIX);
        return NULL;
    }
    path += prefix;
    if (!path_cut(path, parts, &count)) {
        err_set(err, ERR_NOT_FOUND, 0, "no such route");
        return NULL;
    }
    for (size_t i = 0; i < api_route_count; i++) {
        const struct api_route *r = &api_route_table[i];
        size_t at = strlen(allow);

        if (!route_fits(r->path, parts, count, args))
            continue;
        if (strcmp(r->method, method) == 0) {
            allow[0] = '\0';
            return r;
        }
        snprintf(allow + at, allow_size - at, "%s%s", at ? ", " : "",
                 r->method);
        *status = 405;
    }
    if (*status == 405)
        err_set(err, ERR_ARGUMENT, 0, "%s is not for this route", method);
    else
        err_set(err, ERR_NOT_FOUND, 0, "no such route");
    return NULL;
}

/* Is `name` one of the words of `list`? */
static bool list_has(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (*list) {
        size_t word = strcspn(list, " ");

        if (word == len && strncmp(list, name, len) == 0)
            return true;
        list += word;
        list += *list == ' ';
    }
    return false;
}

enum err_code api_route_check_query(const struct api_route *r,
                                    const struct json *query, struct err *err)
{
    for (size_t i = 0; i < json_count(query); i++) {
        const struct json *value;
        const char *name = json_key_at(query, i, &value);

        if (!list_has(r->query, name))
            return err_set(err, ERR_ARGUMENT, 0,
                           "unknown query parameter '%.80s'", name);
    }
    return ERR_OK;
}

/* Few enough to walk through, and nothing but texts. */
static bool all_text(const struct json *j)
{
    const struct json *value;

    if (json_count(j) > FIELD_ITEMS_MAX)
        return false;
    for (size_t i = 0; i < json_count(j); i++) {
        value = json_at(j, i);
        if (json_kind(j) == JSON_OBJECT)
            json_key_at(j, i, &value);
        if (json_kind(value) != JSON_TEXT)
            return false;
    }
    return true;
}

static bool field_is(enum api_field_type type, const struct json *j)
{
    switch (type) {
    case API_FIELD_TEXT:
        return json_kind(j) == JSON_TEXT;
    case API_FIELD_BOOL:
        return json_kind(j) == JSON_BOOL;
    case API_FIELD_INT:
        return json_kind(j) == JSON_INT;
    case API_FIELD_TEXTS:
        return json_kind(j) == JSON_ARRAY && all_text(j);
    case API_FIELD_TEXT_MAP:
        return json_kind(j) == JSON_OBJECT && all_text(j);
    }
    return false;
}

static const struct api_field *field_find(const struct api_route *r,
                                          const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (strcmp(r->fields[i].name, name) == 0)
            return &r->fields[i];
    return NULL;
}

enum err_code api_route_check_body(const struct api_route *r,
                                   const struct json *body, struct err *err)
{
    static const char *const words[] = {
        "text", "true or false", "a number",
        "an array of at most 1000 texts", "an object of at most 1000 texts"};

    if (!r->fields)
        return body && json_count(body)
                   ? err_set(err, ERR_ARGUMENT, 0, "this route takes no body")
                   : ERR_OK;
    if (!body || json_kind(body) != JSON_OBJECT)
        return err_set(err, ERR_ARGUMENT, 0, "the body must be an object");
    for (size_t i = 0; i < json_count(body); i++) {
        const struct json *value;
        const char *name = json_key_at(body, i, &value);
        const struct api_field *f = field_find(r, name);

        if (!f)
            return err_set(err, ERR_ARGUMENT, 0, "unknown member '%.80s'",
                           name);
        if (json_kind(value) != JSON_NULL && !field_is(f->type, value))
            return err_set(err, ERR_ARGUMENT, 0, "'%s' must be %s", name,
                           words[f->type]);
    }
    for (size_t i = 0; i < r->field_count; i++) {
        const struct json *value = json_get(body, r->fields[i].name);

        if (r->fields[i].required &&
            (!value || json_kind(value) == JSON_NULL))
            return err_set(err, ERR_ARGUMENT, 0, "'%s' is missing",
                           r->fields[i].name);
    }
    return ERR_OK;
}
