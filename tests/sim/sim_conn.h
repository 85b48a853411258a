/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_conn.h - one accepted connection, plain or TLS, blocking.
 *
 * Used by its own thread alone, but for sim_conn_kick().
 */
#ifndef CAIRN_SIM_CONN_H
#define CAIRN_SIM_CONN_H

#include <sys/types.h>

#include "tests/sim/sim_pool.h"

enum sim_conn_end {
    SIM_CONN_CLOSE, /* close_notify, FIN, then read on a little: no RST */
    SIM_CONN_LEAVE, /* close_notify, then closed: RST if bytes are unread */
    SIM_CONN_CUT,   /* FIN alone: TLS sees a truncation */
    SIM_CONN_RESET, /* RST */
};

struct sim_conn {
    struct sim_host *host; /* NULL: a control connection */
    int fd;
    SSL *ssl;
    uint8_t in[8192];
    size_t in_at, in_len;
    int64_t reset_after; /* bytes until a reset; < 0: none */
    bool broken;         /* nothing more can be sent */
    struct sim_conn *next;
};

/* Takes the descriptor over. TLS is spoken from the start when tls. False: the
 * handshake failed and c is closed. */
bool sim_conn_open(struct sim_conn *c, struct sim_host *host, int fd, bool tls);
void sim_conn_end(struct sim_conn *c, enum sim_conn_end how);

/* As read(): > 0, 0 at the end, < 0 on failure or after the timeout. */
ssize_t sim_conn_read(struct sim_conn *c, void *buf, size_t len);
/* All of it, or false. */
bool sim_conn_read_full(struct sim_conn *c, void *buf, size_t len);
bool sim_conn_write(struct sim_conn *c, const void *data, size_t len);
/* 0: for ever. */
void sim_conn_timeout(struct sim_conn *c, unsigned ms);
/* A write that the other side does not take for so long fails. */
void sim_conn_patience(struct sim_conn *c, unsigned ms);

/* Has the other side closed, as far as one can see without reading? */
bool sim_conn_gone(struct sim_conn *c);
/* Wait so long, or until it is gone. False: it is. ms 0: until it is gone. */
bool sim_conn_stall(struct sim_conn *c, uint64_t ms);

/* Now: FIN, or RST. sim_conn_end() is still to come. */
void sim_conn_break(struct sim_conn *c, bool reset);

/* From any thread, under the host's lock: end its reads and writes. */
void sim_conn_kick(struct sim_conn *c);

#endif
