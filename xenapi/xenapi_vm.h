/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_vm.h - operations on VMs that take several calls: removal with
 * disks, NICs, other_config, blocking of starts. Single calls are made with
 * xenapi/xenapi_call.h. The session's thread; every done() once, later.
 */
#ifndef CAIRN_XENAPI_XENAPI_VM_H
#define CAIRN_XENAPI_XENAPI_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_session.h"

struct xenapi_vm_op;

typedef void xenapi_vm_done_fn(void *ctx, const struct err *err);

/* Leave the operation; done() gets ERR_CANCELLED. What the pool is doing at
 * that moment it does to its end. */
void xenapi_vm_cancel(struct xenapi_vm_op *op);

/*
 * Remove a snapshot, or a VM that we made, with its disks: unblock, shut down
 * if it is not halted, VDI.destroy of each disk that no other VM uses - again
 * and again while dom0 still holds a disk, whose leftover VBDs in control
 * domains are removed - then VM.destroy: where a disk stays the VM does, too,
 * so that both are found. What is gone already is no error.
 */
struct xenapi_vm_remove_opts {
    const char *ref;
    bool snapshot; /* refuse (ERR_CONFLICT) to touch it unless it is one */
    /* Not NULL: refuse unless other_config has this key and value. */
    const char *guard_key, *guard_value;
    uint64_t patience_ms; /* with disks in use; 0: xenapi_timing.booting */
    xenapi_vm_done_fn *done;
    void *ctx;
};

enum err_code xenapi_vm_remove(struct xenapi_session *s,
                               const struct xenapi_vm_remove_opts *opts,
                               struct xenapi_vm_op **out, struct err *err);

/* other_config[key] = value, whatever was there; NULL takes the key away. */
struct xenapi_vm_mark_opts {
    const char *ref;
    const char *key, *value;
    xenapi_vm_done_fn *done;
    void *ctx;
};

enum err_code xenapi_vm_mark(struct xenapi_session *s,
                             const struct xenapi_vm_mark_opts *opts,
                             struct xenapi_vm_op **out, struct err *err);

/* Give a VM a NIC. */
struct xenapi_vm_nic_opts {
    const char *vm_ref, *network_ref;
    const char *device; /* "0" */
    const char *mac;    /* NULL or "": the pool makes one */
    uint64_t mtu;       /* 0: 1500 */
    const struct xmlrpc *record; /* of the VIF it stands for: locking mode,
                                    allowed addresses, QoS, other_config are
                                    taken from it; NULL: defaults; copied */
    /* vif_ref: NULL on failure. */
    void (*done)(void *ctx, const struct err *err, const char *vif_ref);
    void *ctx;
};

enum err_code xenapi_vm_nic(struct xenapi_session *s,
                            const struct xenapi_vm_nic_opts *opts,
                            struct xenapi_vm_op **out, struct err *err);

/* Allow starts again (what ova_rewrite's block_start forbade), then start it if
 * wanted. */
struct xenapi_vm_release_opts {
    const char *ref;
    bool start;
    xenapi_vm_done_fn *done;
    void *ctx;
};

enum err_code xenapi_vm_release(struct xenapi_session *s,
                                const struct xenapi_vm_release_opts *opts,
                                struct xenapi_vm_op **out, struct err *err);

/*
 * Remove everything an import of ours left behind: VMs that are no snapshots
 * and carry other_config[key] = value, with their disks.
 */
struct xenapi_vm_sweep_opts {
    const char *key, *value;
    void (*done)(void *ctx, const struct err *err, size_t removed);
    void *ctx;
};

enum err_code xenapi_vm_sweep(struct xenapi_session *s,
                              const struct xenapi_vm_sweep_opts *opts,
                              struct xenapi_vm_op **out, struct err *err);

#endif
