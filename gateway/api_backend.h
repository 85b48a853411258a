/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_backend.h - what the control API asks of the job engine.
 *
 * The API answers from the catalog what the catalog knows, and decides who may
 * do what before it calls anything here. All else goes through this table,
 * which the engine fills in (and a test with its own). Every function is
 * called on the control loop and returns at once; its done() is called exactly
 * once, on the control loop, in a later turn, also when nobody waits for the
 * answer any more. Only where there is no memory to wait with it is called at
 * once, as the last thing: so whoever asks touches nothing afterwards. Arguments
 * are borrowed for the call. There is no cancelling but of jobs and streams.
 *
 * ERR_UNREACHABLE and ERR_TIMEOUT of pool_ functions mean the pool, those of
 * vault_, key_ and point_ functions the store.
 */
#ifndef CAIRN_GATEWAY_API_BACKEND_H
#define CAIRN_GATEWAY_API_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/exit.h"
#include "base/json.h"
#include "tenants/rule.h"

/* The document is the receiver's to json_free(); NULL when err is not OK. */
typedef void api_json_done_fn(void *ctx, const struct err *err,
                              struct json *take);

/* What a job is to do. The engine adds it to the catalog and runs it. */
struct api_job_spec {
    const char *kind;   /* "backup", "restore", "verify" */
    int64_t tenant_id;  /* never 0 */
    int64_t pool_id;    /* backup: the source; restore: the target; or 0 */
    int64_t vault_id;   /* never 0 */
    const char *vm_uuid;
    const char *vm_name;
    const char *point;  /* restore, verify: the point's id; "" */
    /*
     * A JSON object. backup: {}. verify: {}. restore:
     *   {"sr": {DISK: SR, ..}     DISK a position as text, or "*" for all
     *    "network": {NIC: NET, ..}  NET may be "none"
     *    "mac": "new"|"keep", "uuid": "new"|"keep", "name": text or null,
     *    "start": bool, "dry_run": bool}
     * SR and NET are uuids or names, as the user typed them.
     */
    const char *params;
    const char *retry_of; /* id of the job that is repeated; "" */
};
typedef void api_job_done_fn(void *ctx, const struct err *err,
                             const char *job_id);

/* A look at hosts that may not be trusted yet. */
struct api_pool_probe {
    int64_t pool_id;  /* a pool of the catalog: its hosts, account, pins and CA
                         are used and the rest is empty; else 0 */
    const char *name; /* of one that is added, for errors; "" */
    const char *const *hosts; /* addresses */
    size_t host_count;
    const char *user;     /* "": no login, certificates are looked at only */
    const char *password;
    const uint8_t (*pins)[32]; /* leaf certificates that are trusted, */
    size_t pin_count;
    const char *ca_pem;   /* or the CA that is; "" */
    /* Where to connect for a member, by its uuid, instead of its address. */
    const struct rule_pair *dials;
    size_t dial_count;
};

/* One VM of a pool, as XAPI shows it now. No templates, no snapshots. */
struct api_vm {
    struct rule_vm rule;     /* pool_id, uuid, name, tags, other_config */
    const char *pool;
    const char *power_state; /* "Running", "Halted", ... */
    unsigned disk_count;
    uint64_t virtual_bytes;
};
struct api_vm_set {
    const struct api_vm *vms;
    size_t count;
    /* Pools that could not be asked. */
    const struct api_vm_failure {
        const char *pool;
        struct err err;
    } *failures;
    size_t failure_count;
};
/* Everything is borrowed until it returns. set is NULL when err is not OK. */
typedef void api_vm_done_fn(void *ctx, const struct err *err,
                            const struct api_vm_set *set);

/*
 * An answer whose body is a restored VM or disk. The API makes it and hands it
 * to stream_open(); the engine calls api_stream_*(), all on the control loop.
 * From api_stream_end() on the engine does not touch it.
 */
struct api_stream;
struct http_piece; /* net/http_server.h */

/* What the engine hears of its stream. It is not called after
 * api_stream_end(), nor from inside an api_stream_*() call. */
struct api_stream_events {
    void (*gone)(void *ctx);    /* the client went away: stop, then end it */
    void *ctx;
};

struct api_stream_spec {
    struct api_job_spec job; /* kind "restore"; pool_id 0; params {"output":
                                "xva" | "raw", "disk": position,
                                "checksum": "sha1" for old XenServers} */
    struct api_stream *stream;
};

/* Say who is to be told; once, before anything else. */
void api_stream_attach(struct api_stream *s,
                       const struct api_stream_events *events);
/* The head of the answer: job id as header Cairn-Job, length -1: unknown.
 * Once, before the first write; without it api_stream_end() answers with a
 * problem. */
void api_stream_begin(struct api_stream *s, const char *job_id,
                      int64_t length);
/* As http_call_lend(), without a copy: false once the client is gone. */
bool api_stream_lend(struct api_stream *s, struct http_piece *piece);
/* As http_call_retract(); an api_stream_end() that failed comes next. Nothing
 * where nothing is lent. */
void api_stream_retract(struct api_stream *s);
/* err ERR_OK: all was written. Else the connection is broken off (or a problem
 * answered), and job and exit tell the client where to look. */
void api_stream_end(struct api_stream *s, const struct err *err,
                    enum exit_code exit);

/* How to open a vault that exists: one of the two is "". */
struct api_vault_open {
    int64_t vault;        /* of the catalog */
    const char *key_file; /* a key file's text */
    const char *vault_id; /* 32 hex digits: wait until keys are granted */
};

struct api_backend {
    void *ctx; /* first argument of all */

    /* {"uptime_s", "memory_bytes", "memory_used", "memory_peak",
     *  "loop_delay_p99_ms", "jobs_queued", "jobs_running", "places_to_tidy",
     *  "gateway"} */
    void (*status)(void *ctx, api_json_done_fn *done, void *done_ctx);

    /* ERR_QUOTA, ERR_AGAIN (the queue is full), ERR_DENIED. */
    void (*job_start)(void *ctx, const struct api_job_spec *spec,
                      api_job_done_fn *done, void *done_ctx);
    /* The catalog says already that it was asked for. done()'s document is
     * null. */
    void (*job_cancel)(void *ctx, const char *job_id, api_json_done_fn *done,
                       void *done_ctx);
    /* Never fails: what goes wrong is told to the stream. */
    void (*stream_open)(void *ctx, const struct api_stream_spec *spec);

    /*
     * {"hosts": [{"address", "uuid", "name", "sha256": hex or null, "trusted":
     *   bool, "coordinator": bool, "error": text or null}],
     *  "pool": {"uuid", "name", "version"} or null}
     * First the given hosts; with a login that worked, all members. A host
     * that cannot be reached has an "error"; the login's failure is `err`.
     * With pool_id what was learnt is in the catalog too.
     */
    void (*pool_probe)(void *ctx, const struct api_pool_probe *probe,
                       api_json_done_fn *done, void *done_ctx);
    /* Log in, ask for what backups need, log out:
     * {"ok": bool, "checks": [{"name", "ok": bool, "text"}]} */
    void (*pool_test)(void *ctx, int64_t pool_id, api_json_done_fn *done,
                      void *done_ctx);
    /* SRs of a pool for which backups wait, since they have too much to
     * coalesce: [{"sr", "name", "disks", "limit", "jobs"}] */
    void (*pool_backlog)(void *ctx, int64_t pool_id, api_json_done_fn *done,
                         void *done_ctx);
    /* A pool was added, changed, paused or removed. */
    void (*pool_changed)(void *ctx, int64_t pool_id);

    /* VMs of one pool (0: of all), asked for anew: a few calls to each pool,
     * which answers twenty of all that are asked of it at once. */
    void (*vm_list)(void *ctx, int64_t pool_id, api_vm_done_fn *done,
                    void *done_ctx);

    /* The vault is in the catalog, `creating`. Probe the location, make keys,
     * write `format` and wraps; put identity, writer state and state `ready`
     * into the catalog: {"vault_id", "recovery_key_file": the file's text}.
     * ERR_DENIED: the configuration does not allow this place. */
    void (*vault_create)(void *ctx, int64_t vault, api_json_done_fn *done,
                         void *done_ctx);
    /* As above for a vault that exists. By a key file's text (it opens and
     * points are read: `ready`), or by a vault id (`waiting`, or `ready` if our
     * key has been granted already): {"vault_id", "public_key", "state",
     * "points": number} */
    void (*vault_open_existing)(void *ctx, const struct api_vault_open *open,
                                api_json_done_fn *done, void *done_ctx);
    /* Can it be reached, opened, written to and listed; a waiting vault is
     * opened when its keys have been granted:
     * {"ok": bool, "state", "checks": [{"name", "ok": bool, "text"}]} */
    void (*vault_test)(void *ctx, int64_t vault, api_json_done_fn *done,
                       void *done_ctx);
    /* A vault was removed from the catalog: drop what is open of it. */
    void (*vault_changed)(void *ctx, int64_t vault);

    /* [{"tag", "recipient": "gateway"|"recovery"|"other", "what": "root"|
     *   "metadata"|"data"|"private", "key_id" or null, "object"}] */
    void (*key_list)(void *ctx, int64_t vault, api_json_done_fn *done,
                     void *done_ctx);
    /* Does this key file open the vault? {"opens": true, "keys": number};
     * ERR_KEY when it does not. */
    void (*key_test)(void *ctx, int64_t vault, const char *key_file,
                     api_json_done_fn *done, void *done_ctx);
    /* Wrap all keys for an X25519 public key (64 hex digits):
     * {"tag", "wraps": number} */
    void (*key_grant)(void *ctx, int64_t vault, const char *public_key,
                      api_json_done_fn *done, void *done_ctx);
    /* A new recipient's private key, all keys wrapped for it:
     * {"key_file": the file's text, "tag", "wraps"} */
    void (*key_export)(void *ctx, int64_t vault, api_json_done_fn *done,
                       void *done_ctx);

    /* Read the vault's points again into the catalog: {"points": number} */
    void (*point_refresh)(void *ctx, int64_t vault, api_json_done_fn *done,
                          void *done_ctx);
};

#endif
