/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds XVAs by hand for tests: a tar writer and an ova.xml of its own, so
 * that an error in image/ cannot cancel out. Checksums straight from libxxhash.
 */
#ifndef CAIRN_TESTS_XVA_BUILD_H
#define CAIRN_TESTS_XVA_BUILD_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "base/buf.h"

#define BUILD_MIB ((size_t)1 << 20)

enum build_form { BUILD_V7, BUILD_USTAR, BUILD_CLASSIC_SUM, BUILD_BASE256 };

static inline void build_header(struct buf *b, const char *name, uint64_t size,
                                char type, enum build_form form)
{
    uint8_t *h = buf_extend(b, 512);
    unsigned sum = 0;

    memset(h, 0, 512);
    memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(h + 100, "0000400", 7);
    memcpy(h + 108, "0000000", 7);
    memcpy(h + 116, "0000000", 7);
    if (form == BUILD_BASE256) {
        h[124] = 0x80;
        for (int i = 0; i < 8; i++)
            h[135 - i] = (uint8_t)(size >> 8 * i);
    } else {
        snprintf((char *)h + 124, 12, "%011" PRIo64, size);
    }
    memcpy(h + 136, "00000000000", 11);
    h[156] = (uint8_t)type;
    if (form == BUILD_USTAR)
        memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    if (form == BUILD_V7)
        snprintf((char *)h + 148, 8, "%07o", sum);
    else /* six digits, NUL, space */
        snprintf((char *)h + 148, 7, "%06o", sum);
}

static inline void build_contents(struct buf *b, const void *data, size_t len)
{
    buf_add(b, data, len);
    buf_add_zeros(b, (512 - len % 512) % 512);
}

static inline void build_entry(struct buf *b, const char *name,
                               const void *data, size_t len)
{
    build_header(b, name, len, 0, BUILD_V7);
    build_contents(b, data, len);
}

/* A block and its .xxhash entry. */
static inline void build_block(struct buf *b, const char *name,
                               const void *data, size_t len)
{
    char sum_name[120], digits[17];

    build_entry(b, name, data, len);
    snprintf(sum_name, sizeof(sum_name), "%s.xxhash", name);
    snprintf(digits, sizeof(digits), "%016llX",
             (unsigned long long)XXH64(data, len, 0));
    build_entry(b, sum_name, digits, 16);
}

static inline void build_end(struct buf *b)
{
    buf_add_zeros(b, 1024);
}

static inline void build_member(struct buf *b, const char *name,
                                const char *value)
{
    buf_addf(b, "<member><name>%s</name><value>%s</value></member>", name,
             value);
}

static inline void build_object(struct buf *b, const char *class_name,
                                const char *id, const char *members)
{
    buf_addf(b,
             "<value><struct><member><name>class</name><value>%s</value>"
             "</member><member><name>id</name><value>%s</value></member>"
             "<member><name>snapshot</name><value><struct>%s</struct></value>"
             "</member></struct></value>",
             class_name, id, members);
}

struct build_disk {
    const char *id; /* "Ref:4" */
    uint64_t size;
};

/* ova.xml of a VM Ref:0 with disks on SR Ref:sr; VBDs are Ref:b0, Ref:b1... */
static inline void build_ova(struct buf *b, const struct build_disk *disks,
                             size_t count)
{
    char members[600], id[20];

    buf_add_text(b, "<value><struct><member><name>version</name><value>"
                    "<struct>");
    build_member(b, "hostname", "host-1");
    build_member(b, "date", "2026-08-21");
    build_member(b, "product_version", "8.3.0");
    build_member(b, "product_brand", "XCP-ng");
    build_member(b, "build_number", "cloud");
    build_member(b, "xapi_major", "1");
    build_member(b, "xapi_minor", "20");
    build_member(b, "export_vsn", "2");
    buf_add_text(b, "</struct></value></member><member><name>objects</name>"
                    "<value><array><data>");
    build_object(b, "VM", "Ref:0",
                 "<member><name>uuid</name><value>"
                 "0aa2b3c4-0000-4000-8000-000000000001</value></member>"
                 "<member><name>name_label</name><value>web</value></member>");
    build_object(b, "SR", "Ref:sr",
                 "<member><name>uuid</name><value>sr-uuid</value></member>"
                 "<member><name>content_type</name><value>user</value>"
                 "</member>");
    for (size_t i = 0; i < count; i++) {
        snprintf(members, sizeof(members),
                 "<member><name>VM</name><value>Ref:0</value></member>"
                 "<member><name>VDI</name><value>%s</value></member>"
                 "<member><name>type</name><value>Disk</value></member>"
                 "<member><name>userdevice</name><value>%zu</value></member>",
                 disks[i].id, i);
        snprintf(id, sizeof(id), "Ref:b%zu", i);
        build_object(b, "VBD", id, members);
        snprintf(members, sizeof(members),
                 "<member><name>uuid</name><value>vdi-%s</value></member>"
                 "<member><name>name_label</name><value>disk %zu</value>"
                 "</member><member><name>SR</name><value>Ref:sr</value>"
                 "</member><member><name>virtual_size</name><value>%" PRIu64
                 "</value></member>",
                 disks[i].id, i, disks[i].size);
        build_object(b, "VDI", disks[i].id, members);
    }
    buf_add_text(b, "</data></array></value></member></struct></value>");
}

static inline void build_ova_entry(struct buf *b,
                                   const struct build_disk *disks,
                                   size_t count)
{
    struct buf ova;

    buf_init(&ova, 1 << 20);
    build_ova(&ova, disks, count);
    build_entry(b, "ova.xml", ova.data, ova.len);
    buf_fini(&ova);
}

/* Bytes that look like nothing in particular, never zero. */
static inline void build_fill(uint8_t *p, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24 | 1);
    }
}

#endif
