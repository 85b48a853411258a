/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/authz.h - who may do what: asked here and nowhere else.
 *
 * Two questions. May this kind of principal take this action at all? The table
 * in authz.c says so; no is 403. And is the thing in sight? The provider sees
 * everything, a tenant what is its own; the rest answers 404, as if it were not
 * there. Every look into the catalog takes its tenant from authz_scope().
 */
#ifndef CAIRN_GATEWAY_AUTHZ_H
#define CAIRN_GATEWAY_AUTHZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tenants/catalog.h"

enum authz_action {
    AUTHZ_ROUTE_LIST,
    AUTHZ_VERSION_SHOW,
    AUTHZ_STATUS_SHOW,
    AUTHZ_TENANT_ADD,
    AUTHZ_TENANT_LIST,
    AUTHZ_TENANT_SHOW,
    AUTHZ_TENANT_SET,
    AUTHZ_TENANT_SUSPEND,
    AUTHZ_TENANT_RESUME,
    AUTHZ_TENANT_LEAVE,
    AUTHZ_TENANT_ERASE,
    AUTHZ_TOKEN_ADD,
    AUTHZ_TOKEN_LIST,
    AUTHZ_TOKEN_REVOKE,
    AUTHZ_RULE_ADD,
    AUTHZ_RULE_LIST,
    AUTHZ_RULE_REMOVE,
    AUTHZ_POOL_LOOK,
    AUTHZ_POOL_ADD,
    AUTHZ_POOL_LIST,
    AUTHZ_POOL_SHOW,
    AUTHZ_POOL_SET,
    AUTHZ_POOL_PROBE,
    AUTHZ_POOL_TEST,
    AUTHZ_POOL_ACCEPT,
    AUTHZ_POOL_REMOVE,
    AUTHZ_VM_LIST,
    AUTHZ_VM_SHOW,
    AUTHZ_VM_RESOLVE,
    AUTHZ_VM_MOVE,
    AUTHZ_VAULT_ADD,
    AUTHZ_VAULT_LIST,
    AUTHZ_VAULT_SHOW,
    AUTHZ_VAULT_TEST,
    AUTHZ_VAULT_REFRESH,
    AUTHZ_VAULT_REMOVE,
    AUTHZ_KEY_LIST,
    AUTHZ_KEY_TEST,
    AUTHZ_KEY_GRANT,
    AUTHZ_KEY_EXPORT,
    AUTHZ_BACKUP_START,
    AUTHZ_POINT_LIST,
    AUTHZ_POINT_SHOW,
    AUTHZ_POINT_RESOLVE,
    AUTHZ_POINT_VERIFY,
    AUTHZ_RESTORE_START,  /* any restore */
    AUTHZ_RESTORE_POOL,   /* also asked when it goes to a pool */
    AUTHZ_JOB_LIST,
    AUTHZ_JOB_SHOW,
    AUTHZ_JOB_LOG,
    AUTHZ_JOB_CANCEL,
    AUTHZ_JOB_RETRY,
    AUTHZ_AUDIT_LIST,
    AUTHZ_ACTIONS, /* how many */
};

enum authz_kind { AUTHZ_PROVIDER, AUTHZ_TENANT };

/* Who asks. A plain value. */
struct authz_who {
    enum authz_kind kind;
    int64_t tenant_id; /* of a tenant; the provider's is 0 */
    int64_t token_id;
    char tenant[CATALOG_NAME];
};

bool authz_may(const struct authz_who *who, enum authz_action action);

/* As above: ERR_DENIED with a sentence. */
enum err_code authz_check(const struct authz_who *who,
                          enum authz_action action, struct err *err);

/* What a look into the catalog is limited to; 0: nothing. */
int64_t authz_scope(const struct authz_who *who);

/* Whether a thing of this tenant (0: of nobody) is in sight. */
bool authz_sees(const struct authz_who *who, int64_t tenant_id);

/* "vault.add": operation ids of the API, actions of audit lines. */
const char *authz_action_name(enum authz_action action);

/* Does it change anything, so that it leaves an audit line? */
bool authz_is_change(enum authz_action action);

/* "provider", "token 12 of acme" */
void authz_who_text(const struct authz_who *who, char *out, size_t size);

#endif
