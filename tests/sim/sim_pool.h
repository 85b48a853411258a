/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_pool.h - the simulated world: pools, hosts, counters.
 *
 * What is plain here is set before threads start and never changes, except
 * where an atomic or a lock says so. What a client can see lies in pool->db.
 */
#ifndef CAIRN_SIM_POOL_H
#define CAIRN_SIM_POOL_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/sim/sim_db.h"
#include "tests/sim/sim_fault.h"

struct sim_conn;
struct sim_writer;

struct sim_counters {
    atomic_ullong connections, connections_open, tls_handshakes, requests;
    atomic_ullong bytes_in, bytes_out;
    atomic_ullong exports, export_bytes, imports, import_bytes;
    atomic_ullong failed_logins;
};

struct sim_host {
    struct sim_pool *pool;
    size_t index;
    char *name, *address;
    char ref[SIM_REF_MAX], uuid[37];
    uint16_t https_port, http_port;
    int https_fd, http_fd;
    struct sim_counters counters;
    atomic_bool down;
    pthread_mutex_t lock; /* for what follows */
    SSL_CTX *tls;
    char *certificate; /* path */
    char fingerprint[65];
    char *tls_name, *tls_min, *tls_max, *tls_ciphers;
    unsigned tls_key_bits;
    struct sim_conn *conns;
};

struct sim_user {
    char *name, *password, *role;
};

struct sim_pool {
    struct sim *sim;
    char *name;
    char ref[SIM_REF_MAX], uuid[37];
    struct sim_db *db;
    struct sim_host *hosts;
    size_t host_count;
    struct sim_user *users; /* the first is root */
    size_t user_count;
    char *brand, *version, *build, *xapi_version;
    int64_t api_major, api_minor;
    bool sha1, zstd, redirect_port;
    char *ca;                       /* path of the certificate, or NULL */
    uint16_t https_port, http_port; /* wanted; 0: any */
    atomic_int async_running;
    atomic_ulong next_export_id; /* "Ref:7": counts over all exports */
    pthread_mutex_t lock;        /* for what follows */
    struct sim_value *rpc_counts;
    struct sim_writer *writers;
};

struct sim {
    struct sim_schema *schema;
    char *state_dir;
    double time_scale;
    struct sim_faults *faults;
    struct sim_pool *pools;
    size_t pool_count;
    char *control; /* "127.0.0.1:0", or NULL */
    uint16_t control_port;
    int control_fds[2]; /* TCP, unix; -1: none */
};

/* Sleep for a delay of XAPI's: scaled. */
void sim_pool_pause(const struct sim *sim, uint64_t ms);
/* Sleep, not scaled. */
void sim_pool_sleep(uint64_t ms);

struct sim_host *sim_pool_host(struct sim_pool *pool, const char *ref);
struct sim_host *sim_pool_coordinator(struct sim_pool *pool);

/* By name, uuid or ref. */
struct sim_host *sim_pool_find_host(struct sim_pool *pool, const char *name);
struct sim_pool *sim_pool_find(struct sim *sim, const char *name);

/* A place for sim_fault_hit(). host and o may be NULL; o is a VM (its origin's
 * names are filled in, too), VDI (and its SR) or SR. Needs the pool's lock when
 * there is an o, and for as long as the names are used. */
void sim_pool_where(struct sim_pool *pool, struct sim_host *host,
                    struct sim_object *o, struct sim_where *out);

/* Does a plugged PBD show this SR to this host? */
bool sim_pool_sees(struct sim_pool *pool, const char *host_ref,
                   const char *sr_ref);

#endif
