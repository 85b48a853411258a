/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_records.h - an inventory out of the pool's records. Used by
 * xenapi/xenapi_inventory.c alone. Pure.
 */
#ifndef CAIRN_XENAPI_XENAPI_RECORDS_H
#define CAIRN_XENAPI_XENAPI_RECORDS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_inventory.h"

enum xenapi_class {
    XENAPI_POOL, XENAPI_HOST, XENAPI_SR, XENAPI_PBD, XENAPI_NETWORK,
    XENAPI_VM, XENAPI_VBD, XENAPI_VDI, XENAPI_VIF, XENAPI_CLASSES,
};

/* As XAPI spells it. */
const char *xenapi_records_class(enum xenapi_class c);

/*
 * maps[class] holds ref -> record, as get_all_records answers. one: keep
 * whatever VMs there are, else leave out control domains and templates.
 * ERR_PROTOCOL: a map is none; ERR_NOMEM.
 */
enum err_code xenapi_records_build(struct xmlrpc *const maps[XENAPI_CLASSES],
                                   bool one, struct xenapi_inventory **out,
                                   struct err *err);

#endif
