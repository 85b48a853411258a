/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_rpc.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/xml.h"

static const struct {
    const char *code;
    enum err_code is;
} kinds[] = {
    {"SESSION_AUTHENTICATION_FAILED", ERR_DENIED},
    {"RBAC_PERMISSION_DENIED", ERR_DENIED},
    {"USER_IS_NOT_LOCAL_SUPERUSER", ERR_DENIED},
    {"HANDLE_INVALID", ERR_NOT_FOUND},
    {"UUID_INVALID", ERR_NOT_FOUND},
    {"SR_FULL", ERR_QUOTA},
    {"SR_BACKEND_FAILURE_44", ERR_QUOTA},
    {"LICENCE_RESTRICTION", ERR_QUOTA},
    {"LICENSE_RESTRICTION", ERR_QUOTA},
    {"HOST_NOT_ENOUGH_FREE_MEMORY", ERR_QUOTA},
    {"SESSION_INVALID", ERR_AGAIN},
    {"HOST_IS_SLAVE", ERR_AGAIN},
    {"HOST_STILL_BOOTING", ERR_AGAIN},
    {"HOST_HAS_NO_MANAGEMENT_IP", ERR_AGAIN},
    {"TOO_MANY_PENDING_TASKS", ERR_AGAIN},
    {"OTHER_OPERATION_IN_PROGRESS", ERR_AGAIN},
    {"NOT_SUPPORTED_DURING_UPGRADE", ERR_AGAIN},
    {"VDI_IN_USE", ERR_AGAIN},
    {"DUPLICATE_VM", ERR_CONFLICT},
    {"DUPLICATE_MAC_SEED", ERR_CONFLICT},
    {"MAC_STILL_EXISTS", ERR_CONFLICT},
    {"UUID_ALREADY_EXISTS", ERR_CONFLICT},
    {"UNIQUENESS_CONSTRAINT_VIOLATION", ERR_CONFLICT},
    {"VM_TO_IMPORT_IS_NOT_NEWER_VERSION", ERR_CONFLICT},
    {"DEVICE_ALREADY_EXISTS", ERR_CONFLICT},
    {"MAP_DUPLICATE_KEY", ERR_CONFLICT},
    {"TASK_CANCELLED", ERR_CANCELLED},
};

const char *xenapi_rpc_param(const struct xenapi_rpc_failure *f, size_t i)
{
    return f ? xmlrpc_text(xmlrpc_at(f->list, i + 1), "") : "";
}

bool xenapi_rpc_is(const struct xenapi_rpc_failure *f, const char *code)
{
    return f && strcmp(f->code, code) == 0;
}

void xenapi_rpc_failure_fini(struct xenapi_rpc_failure *f)
{
    xmlrpc_free(f->list);
    f->list = NULL;
    f->code[0] = 0;
}

static void add_param(struct buf *out, const struct xmlrpc *value)
{
    buf_add_text(out, "<param>");
    xmlrpc_write(value, out);
    buf_add_text(out, "</param>");
}

bool xenapi_rpc_request(const char *method, const char *session,
                        const struct xmlrpc *params, struct buf *out)
{
    buf_add_text(out, "<?xml version=\"1.0\"?><methodCall><methodName>");
    xml_escape(out, method, strlen(method));
    buf_add_text(out, "</methodName><params>");
    if (session) {
        buf_add_text(out, "<param><value>");
        xml_escape(out, session, strlen(session));
        buf_add_text(out, "</value></param>");
    }
    for (size_t i = 0; i < xmlrpc_count(params); i++)
        add_param(out, xmlrpc_at(params, i));
    return buf_add_text(out, "</params></methodCall>");
}

/* {Status: Success, Value} or {Status: Failure, ErrorDescription: [...]} */
static enum err_code unwrap(struct xmlrpc *wrapped, struct xmlrpc **value,
                            struct xenapi_rpc_failure *failure, struct err *err)
{
    const char *status = xmlrpc_get_text(wrapped, "Status");

    if (strcmp(status, "Success") == 0) {
        *value = xmlrpc_detach(wrapped, "Value");
        if (!*value)
            return err_set(err, ERR_PROTOCOL, 0,
                           "an XAPI answer without a value");
        return ERR_OK;
    }
    if (strcmp(status, "Failure") == 0)
        return xenapi_rpc_failure_from(xmlrpc_get(wrapped, "ErrorDescription"),
                                       failure, err);
    return err_set(err, ERR_PROTOCOL, 0, "an XAPI answer without a status");
}

/* Old tools answer malformed calls with a <fault>; XAPI's errors never do. */
static enum err_code read_fault(const struct xml_node *fault, struct err *err)
{
    struct xmlrpc *v = NULL;
    enum err_code rc = xmlrpc_read(xml_child(fault, "value"), &v, err);

    if (rc != ERR_OK)
        return rc;
    err_set(err, ERR_REMOTE, 0, "fault: %s", xmlrpc_get_text(v, "faultString"));
    xmlrpc_free(v);
    return ERR_REMOTE;
}

enum err_code xenapi_rpc_answer(const void *text, size_t len, size_t max_bytes,
                                struct xmlrpc **value,
                                struct xenapi_rpc_failure *failure,
                                struct err *err)
{
    const struct xml_node *root, *param;
    struct xml_doc *doc = NULL;
    struct xmlrpc *wrapped = NULL;
    enum err_code rc = xml_parse(text, len, max_bytes, &doc, err);

    if (rc != ERR_OK)
        return rc;
    root = xml_root(doc);
    param = xml_child(xml_child(root, "params"), "param");
    if (strcmp(xml_name(root), "methodResponse") != 0) {
        rc = err_set(err, ERR_PROTOCOL, 0, "<%s> is no XML-RPC answer",
                     xml_name(root));
        goto out;
    }
    if (xml_child(root, "fault")) {
        rc = read_fault(xml_child(root, "fault"), err);
        goto out;
    }
    rc = xmlrpc_read(xml_child(param, "value"), &wrapped, err);
    if (rc != ERR_OK)
        goto out;
    if (xmlrpc_kind(wrapped) == XMLRPC_STRUCT) {
        rc = unwrap(wrapped, value, failure, err);
        goto out;
    }
    *value = wrapped; /* system.listMethods answers bare */
    wrapped = NULL;
out:
    xmlrpc_free(wrapped);
    xml_free(doc);
    return rc;
}

enum err_code xenapi_rpc_failure_from(const struct xmlrpc *list,
                                      struct xenapi_rpc_failure *f,
                                      struct err *err)
{
    const char *code = xmlrpc_text(xmlrpc_at(list, 0), "");
    struct xmlrpc *copy;

    if (!code[0])
        return err_set(err, ERR_PROTOCOL, 0, "an XAPI failure without a code");
    copy = xmlrpc_copy(list);
    if (!copy)
        return err_set(err, ERR_NOMEM, 0, "an XAPI failure");
    snprintf(f->code, sizeof(f->code), "%s", code);
    f->list = copy;
    return ERR_OK;
}

enum err_code xenapi_rpc_code(const struct xenapi_rpc_failure *f)
{
    for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
        if (strcmp(f->code, kinds[i].code) == 0)
            return kinds[i].is;
    return ERR_REMOTE;
}

enum err_code xenapi_rpc_err(const struct xenapi_rpc_failure *f,
                             struct err *err)
{
    bool secret = xenapi_rpc_is(f, "SESSION_INVALID");
    char words[400];
    size_t at = 0;

    words[0] = 0;
    for (size_t i = 0; !secret && i + 1 < xmlrpc_count(f->list); i++) {
        const char *param = xenapi_rpc_param(f, i);
        int n;

        if (!param[0])
            continue;
        n = snprintf(words + at, sizeof(words) - at, "%s%s", at ? ", " : ": ",
                     param);
        at = n < 0 || (size_t)n >= sizeof(words) - at ? sizeof(words) - 1
                                                      : at + (size_t)n;
    }
    return err_set(err, xenapi_rpc_code(f), 0, "%s%s", f->code, words);
}
