/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_taken.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "xenapi/xenapi_call.h"

struct xenapi_taken {
    struct xenapi_session *session;
    struct xenapi_call *call; /* about uuids[at] */
    struct {
        const char *class;
        char uuid[37];
    } uuids[XENAPI_TAKEN_MAX];
    size_t count, at;
    xenapi_taken_done_fn *done;
    void *ctx;
};

static enum err_code ask(struct xenapi_taken *t, struct err *err);

static void on_answer(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value)
{
    struct xenapi_taken *t = ctx;
    struct err why = *err;

    t->call = NULL;
    xmlrpc_free(value);
    if (why.code == ERR_OK)
        err_set(&why, ERR_CONFLICT, 0, "%s uuid %s is in use in pool %s",
                t->uuids[t->at].class, t->uuids[t->at].uuid,
                xenapi_session_name(t->session));
    else if (xenapi_rpc_is(failure, "UUID_INVALID") ||
             xenapi_rpc_is(failure, "MESSAGE_METHOD_UNKNOWN"))
        err_clear(&why);
    t->at++;
    if (why.code == ERR_OK && t->at < t->count && ask(t, &why) == ERR_OK)
        return;
    t->done(t->ctx, &why);
    free(t);
}

static enum err_code ask(struct xenapi_taken *t, struct err *err)
{
    char method[64];
    const struct xenapi_call_opts o = {
        .method = method,
        .params = xenapi_call_params("s", t->uuids[t->at].uuid),
        .done = on_answer,
        .ctx = t,
    };

    snprintf(method, sizeof(method), "%s.get_by_uuid", t->uuids[t->at].class);
    return xenapi_call_start(t->session, &o, &t->call, err);
}

enum err_code xenapi_taken_start(struct xenapi_session *s,
                                 const struct xenapi_taken_uuid *uuids,
                                 size_t count, xenapi_taken_done_fn *done,
                                 void *ctx, struct xenapi_taken **out,
                                 struct err *err)
{
    struct xenapi_taken *t;
    struct id16 id;

    if (count < 1 || count > XENAPI_TAKEN_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%zu uuids to ask about", count);
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, 0, "uuids");
    for (size_t i = 0; i < count; i++) {
        if (!parse_uuid(uuids[i].uuid, &id)) {
            free(t);
            return err_set(err, ERR_ARGUMENT, 0, "%s uuid '%.60s' is none",
                           uuids[i].class, uuids[i].uuid);
        }
        t->uuids[i].class = uuids[i].class;
        parse_uuid_text(&id, t->uuids[i].uuid);
    }
    t->session = s;
    t->count = count;
    t->done = done;
    t->ctx = ctx;
    if (ask(t, err) != ERR_OK) {
        free(t);
        return err->code;
    }
    *out = t;
    return ERR_OK;
}

void xenapi_taken_cancel(struct xenapi_taken *t)
{
    xenapi_call_cancel(t->call);
}
