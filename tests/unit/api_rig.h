/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/api_rig.h - the control API on a unix socket, over a catalog in
 * memory and a backend that does what the test says, with a client on the same
 * loop. cmocka's headers come first.
 */
#ifndef CAIRN_TESTS_API_RIG_H
#define CAIRN_TESTS_API_RIG_H

#include "gateway/api.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_token.h"
#include "tests/unit/catalog_fixture.h"
#include "tests/unit/net_rig.h"

#define RIG_VM_1 "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
#define RIG_VM_2 "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c02"
#define RIG_VM_3 "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c03"
#define RIG_VAULT_ID "a6cf46c72f1025063ca57acc80feee45"
#define RIG_POINT "20261120T081530Z-0123abcd"

/* One answer that the backend owes, given in a later turn. */
struct api_rig_owed {
    struct timer timer;
    struct api_rig *rig;
    struct err err;
    struct json *doc;
    api_json_done_fn *json_done;
    api_job_done_fn *job_done;
    api_vm_done_fn *vm_done;
    void *ctx;
    char job_id[CATALOG_JOB_ID];
    struct catalog_call ask; /* a job is added on the lane */
    struct catalog_job job;
    char texts[4][512];
};

struct api_rig {
    struct fixture f;
    struct rig net;
    struct lane *lane;
    struct catalog_call_door *door;
    struct api *api;
    struct api_backend backend;
    char dir[64], socket[96];
    unsigned owed; /* answers of the backend still to come */
    struct api_rig_owed slots[8];

    /* What the backend will say. */
    struct err err;          /* not OK: every function fails so */
    const char *doc;         /* JSON of its next answer */
    bool defaults;           /* without a doc each function says something */
    struct api_vm vms[4];
    size_t vm_count;
    bool pool_down;          /* vm_list() reports a pool that is not there */
    uint64_t delay_ms;       /* before it answers */

    /* What it was asked. */
    char asked[512];         /* "vault_create;" and so on */
    char params[512];        /* of the last job or stream */
    int64_t asked_id;
    struct api_stream *stream;
    struct http_piece piece; /* of an answer that is given at once */
    unsigned gone;

    /* The last answer. */
    struct rig_call call;
    struct json *answer;
    char header[128]; /* Cairn-Job, Allow or WWW-Authenticate */
};

/* Tenants acme (token in acme_token) and globex, pool east, vault main of each
 * (ready), three VMs: VM_1 of acme by name, VM_2 of globex, VM_3 nobody's. */
struct api_rig_world {
    struct api_rig rig;
    char acme_token[SECRET_TOKEN_TEXT], globex_token[SECRET_TOKEN_TEXT];
    int64_t acme, globex, pool, acme_vault, globex_vault;
};

int api_rig_setup(void **state);
int api_rig_teardown(void **state);

/* Ask and run until the answer is there; token NULL: the provider; body NULL:
 * none. Returns the status. */
int api_rig_ask(struct api_rig *r, const char *method, const char *path,
                const char *token, const char *body);

/* Begin only; the answer is in r->call when it is done. */
void api_rig_begin(struct api_rig *r, struct rig_call *call,
                   const char *method, const char *path, const char *token,
                   const char *body);

/* Members of the last answer; a path such as "items.0.name". */
const char *api_rig_text(struct api_rig *r, const char *path);
int64_t api_rig_int(struct api_rig *r, const char *path);
const struct json *api_rig_at(struct api_rig *r, const char *path);

/* api_stream_lend() of a copy. */
bool api_rig_lend(struct api_stream *s, const void *data, size_t len);

/* Do something with the catalog while the lane is idle. */
#define api_rig_catalog(r) ((r)->f.c)

/* A point of a VM in a vault. */
void api_rig_point(struct api_rig *r, int64_t vault, const char *id,
                   const char *vm, const char *name, bool made_here);

#endif
