/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/config.h - cairnd's configuration: one YAML file, one table of
 * settings (config.c), every key with default, bounds and a line of help.
 *
 * Unknown and duplicate keys, and values out of bounds, are refused with file
 * and line. Immutable once loaded; any thread.
 */
#ifndef CAIRN_GATEWAY_CONFIG_H
#define CAIRN_GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct config {
    char *gateway;       /* name of this gateway, [a-z0-9-]{1,40}; default: the
                            host name's first label, made to fit */
    char *state;         /* directory; default /var/lib/cairn */
    char *socket;        /* control socket; default /run/cairn/cairnd.sock */
    char *listen;        /* "address:port" for TLS; "": none */
    char *listen_cert;   /* PEM files, with listen */
    char *listen_key;
    char *gateway_key;   /* file; "": <state>/gateway.key; made when absent */
    char *allowed_locations; /* space-separated URL prefixes
                                ("s3://acme-* file:///srv/backup"), "": all */
    char *log_level;     /* error, warn, info, debug */
    char *log_form;      /* plain, json, systemd */
    uint64_t memory;     /* bytes; 64 MiB to 1 TiB, default 1 GiB */
    char *spill;         /* directory; "": none */
    uint64_t spill_bytes; /* default 4 GiB */
    uint64_t data_loops; /* 0: as many as cores */
    uint64_t jobs_at_once;     /* default 256 */
    uint64_t jobs_per_pool;    /* default 64 */
    uint64_t jobs_per_tenant;  /* default 64 */
    uint64_t jobs_per_store;   /* of one endpoint or folder; default 64 */
    uint64_t exports_per_host; /* default 64 */
    uint64_t snapshots_per_sr; /* of ours alive at once; default 8 */
    uint64_t coalesce_backlog; /* disks waiting on an SR, above which no snapshot
                                  is made there; 0: no matter; default 20 */
    uint64_t coalesce_wait_ms; /* a job waits so long for it; default 1 h */
    uint64_t store_request_ms; /* default 60 s */
    uint64_t store_retry_ms;   /* default 15 min */
    uint64_t pool_connect_ms;  /* 0: xenapi_timing's own defaults, as below */
    uint64_t pool_answer_ms;
    uint64_t pool_retry_ms;
    uint64_t export_first_byte_ms;
    uint64_t export_stall_ms;
    uint64_t client_stall_ms;  /* default 5 minutes */
    uint64_t pool_verdict_ms;
    uint64_t job_history_ms;   /* default 90 days */
    uint64_t audit_history_ms; /* default 400 days */
    uint64_t compression;      /* zstd level of new vaults, 0 to 19; default 1 */
    struct { /* of the file; 0: not said there */
        unsigned gateway_key, listen_cert, listen_key;
    } line;
    uint64_t chunk_bytes;      /* of new disks, 64 KiB to 1 MiB, a power of two;
                                  default 128 KiB */
};

/* ERR_IO (the file), ERR_ARGUMENT ("file:12: memory: ..."), ERR_NOMEM. */
enum err_code config_load(const char *path, struct config **out,
                          struct err *err);

/* Bytes of `memory` that are set aside for the tables of what is spilled. */
uint64_t config_spill_tables(const struct config *c);

/* All defaults, as an empty file would give. ERR_NOMEM. */
enum err_code config_defaults(struct config **out, struct err *err);
void config_free(struct config *c);

/* A commented example with every key and its default. */
void config_example(FILE *out);

#endif
