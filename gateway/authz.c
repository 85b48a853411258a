/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authz.h"

#include <stdio.h>

/* The provider may do everything. `tenant`: a tenant may, with its own. */
static const struct {
    const char *name;
    bool tenant;
    bool change;
} rows[AUTHZ_ACTIONS] = {
    [AUTHZ_ROUTE_LIST] = {"route.list", true, false},
    [AUTHZ_VERSION_SHOW] = {"version.show", true, false},
    /* How busy the gateway is tells one tenant about the others. */
    [AUTHZ_STATUS_SHOW] = {"status.show", false, false},
    [AUTHZ_TENANT_ADD] = {"tenant.add", false, true},
    [AUTHZ_TENANT_LIST] = {"tenant.list", true, false},
    [AUTHZ_TENANT_SHOW] = {"tenant.show", true, false},
    [AUTHZ_TENANT_SET] = {"tenant.set", false, true},
    [AUTHZ_TENANT_SUSPEND] = {"tenant.suspend", false, true},
    [AUTHZ_TENANT_RESUME] = {"tenant.resume", false, true},
    [AUTHZ_TENANT_LEAVE] = {"tenant.leave", false, true},
    [AUTHZ_TENANT_ERASE] = {"tenant.erase", false, true},
    /* A stolen token must not be able to make others. */
    [AUTHZ_TOKEN_ADD] = {"token.add", false, true},
    [AUTHZ_TOKEN_LIST] = {"token.list", true, false},
    [AUTHZ_TOKEN_REVOKE] = {"token.revoke", true, true},
    [AUTHZ_RULE_ADD] = {"rule.add", false, true},
    [AUTHZ_RULE_LIST] = {"rule.list", false, false},
    [AUTHZ_RULE_REMOVE] = {"rule.remove", false, true},
    [AUTHZ_POOL_LOOK] = {"pool.look", false, false},
    [AUTHZ_POOL_ADD] = {"pool.add", false, true},
    [AUTHZ_POOL_LIST] = {"pool.list", false, false},
    [AUTHZ_POOL_SHOW] = {"pool.show", false, false},
    [AUTHZ_POOL_SET] = {"pool.set", false, true},
    [AUTHZ_POOL_PROBE] = {"pool.probe", false, false},
    [AUTHZ_POOL_TEST] = {"pool.test", false, false},
    [AUTHZ_POOL_ACCEPT] = {"pool.accept", false, true},
    [AUTHZ_POOL_REMOVE] = {"pool.remove", false, true},
    [AUTHZ_VM_LIST] = {"vm.list", true, false},
    [AUTHZ_VM_SHOW] = {"vm.show", true, false},
    [AUTHZ_VM_RESOLVE] = {"vm.resolve", true, false},
    [AUTHZ_VM_MOVE] = {"vm.move", false, true},
    [AUTHZ_VAULT_ADD] = {"vault.add", false, true},
    [AUTHZ_VAULT_LIST] = {"vault.list", true, false},
    [AUTHZ_VAULT_SHOW] = {"vault.show", true, false},
    [AUTHZ_VAULT_TEST] = {"vault.test", true, false},
    [AUTHZ_VAULT_REFRESH] = {"vault.refresh", true, false},
    [AUTHZ_VAULT_REMOVE] = {"vault.remove", false, true},
    [AUTHZ_KEY_LIST] = {"key.list", true, false},
    [AUTHZ_KEY_TEST] = {"key.test", true, false},
    /* Whoever is granted the keys reads the vault for ever. */
    [AUTHZ_KEY_GRANT] = {"key.grant", false, true},
    [AUTHZ_KEY_EXPORT] = {"key.export", false, true},
    [AUTHZ_BACKUP_START] = {"backup.start", true, true},
    [AUTHZ_POINT_LIST] = {"point.list", true, false},
    [AUTHZ_POINT_SHOW] = {"point.show", true, false},
    [AUTHZ_POINT_RESOLVE] = {"point.resolve", true, false},
    [AUTHZ_POINT_VERIFY] = {"point.verify", true, true},
    [AUTHZ_RESTORE_START] = {"restore.start", true, true},
    /* Tenants restore to targets, which are not pools. */
    [AUTHZ_RESTORE_POOL] = {"restore.pool", false, true},
    [AUTHZ_JOB_LIST] = {"job.list", true, false},
    [AUTHZ_JOB_SHOW] = {"job.show", true, false},
    [AUTHZ_JOB_LOG] = {"job.log", true, false},
    [AUTHZ_JOB_CANCEL] = {"job.cancel", true, true},
    [AUTHZ_JOB_RETRY] = {"job.retry", true, true},
    [AUTHZ_AUDIT_LIST] = {"audit.list", true, false},
};

bool authz_may(const struct authz_who *who, enum authz_action action)
{
    return who->kind == AUTHZ_PROVIDER || rows[action].tenant;
}

enum err_code authz_check(const struct authz_who *who,
                          enum authz_action action, struct err *err)
{
    if (authz_may(who, action))
        return ERR_OK;
    return err_set(err, ERR_DENIED, 0, "%s is the provider's alone",
                   rows[action].name);
}

int64_t authz_scope(const struct authz_who *who)
{
    return who->kind == AUTHZ_PROVIDER ? 0 : who->tenant_id;
}

bool authz_sees(const struct authz_who *who, int64_t tenant_id)
{
    return who->kind == AUTHZ_PROVIDER || tenant_id == who->tenant_id;
}

const char *authz_action_name(enum authz_action action)
{
    return rows[action].name;
}

bool authz_is_change(enum authz_action action)
{
    return rows[action].change;
}

void authz_who_text(const struct authz_who *who, char *out, size_t size)
{
    if (who->kind == AUTHZ_PROVIDER)
        snprintf(out, size, "provider");
    else
        snprintf(out, size, "token %lld of %s", (long long)who->token_id,
                 who->tenant);
}
