/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/restore_pipe.h - one restore's data on one data loop: walk over the
 * point's disks -> XVA or raw bytes -> a pool's import, or a client's stream.
 *
 * Called from the control loop, and its events come there. The caller has
 * RESTORE_PIPE_BYTES reserved and gives them back after done(). What was sent
 * is whole only when done() says so: until a disk's content sum has been found
 * right, its last checksum entry is held back, so that no pool can take what
 * came for a VM.
 */
#ifndef CAIRN_GATEWAY_RESTORE_PIPE_H
#define CAIRN_GATEWAY_RESTORE_PIPE_H

#include "gateway/engine.h"
#include "gateway/place.h"
#include "vault/point.h"
#include "vault/vault.h"
#include "vault/walk.h"
#include "xenapi/xenapi_ticket.h"

#define RESTORE_PIPE_BYTES (28 * MIB)

struct restore_pipe;
struct api_stream;

/* A disk of the output, in the order of the output. */
struct restore_pipe_disk {
    char id[64];  /* "Ref:12"; raw: unused */
    size_t disk;  /* index into point->disk */
};

struct restore_pipe_opts {
    struct engine *engine;
    struct data_loop *data;
    struct vault *vault; /* references are taken of vault and place */
    struct place *place;
    const struct point *point; /* borrowed to done() */
    const char *point_name; /* texts are copied */
    bool raw;            /* one disk as it is, no XVA */
    const struct restore_pipe_disk *disks; /* copied; raw: one */
    size_t disk_count;
    const char *ova;     /* ova.xml of the XVA; copied */
    size_t ova_len;
    bool sha1;           /* .checksum entries, for old pools and tools */
    struct xenapi_ticket *ticket; /* upload there, held; NULL: to the client, */
    struct api_stream *stream;    /* attached already; begun with job_id */
    const char *job_id;

    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
    /* Once; the pipe is gone. err also has what the transfer said. */
    void (*done)(void *ctx, const struct err *err, uint64_t sent_bytes,
                 const struct walk_figures *figures);
    void *ctx;
};

/* ERR_NOMEM: done() will not come. */
enum err_code restore_pipe_start(const struct restore_pipe_opts *opts,
                                 struct restore_pipe **out, struct err *err);

/* At any time before done(), which comes in any case. */
void restore_pipe_cancel(struct restore_pipe *p);

/* Whether nothing more is read for it: then done() comes with what became of
 * it, whether or not the client stays. */
bool restore_pipe_is_over(const struct restore_pipe *p);

/* Bytes of the XVA's blocks that an import of these disks will write: what a
 * thin SR needs at least. The maps of disks in pages lie in the vault, so these
 * are not counted. */
uint64_t restore_pipe_data_bytes(const struct point *point);

#endif
