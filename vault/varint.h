/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/varint.h - unsigned LEB128 of at most 64 bits, shortest form only.
 */
#ifndef CAIRN_VAULT_VARINT_H
#define CAIRN_VAULT_VARINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

#define VARINT_MAX 10 /* bytes of the longest */

bool varint_add(struct buf *b, uint64_t v);

/* Take one off the front of *from. False: cut off, too long or not the
 * shortest form; *from is then unspecified. */
bool varint_take(struct slice *from, uint64_t *v);

#endif
