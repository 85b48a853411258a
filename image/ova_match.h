/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/ova_match.h - which disk of a backup is which of its ova.xml. Pure.
 */
#ifndef CAIRN_IMAGE_OVA_MATCH_H
#define CAIRN_IMAGE_OVA_MATCH_H

#include "image/ova.h"

#define OVA_MATCH_NONE SIZE_MAX

/*
 * A point numbers its disks as docs/format.md says: by userdevice
 * where that is a number below 256; others ("xvda") have 256 and more, in the
 * order of their names. number[i] becomes the index in `position` (of `count`
 * different ones) of disk i of `o`; OVA_MATCH_NONE: the backup has it not, or
 * has not as many disks with names as `o`, so that nobody can tell which.
 */
void ova_match(const struct ova *o, const uint32_t *position, size_t count,
               size_t *number);

#endif
