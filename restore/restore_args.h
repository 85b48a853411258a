/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore/restore_args.h - the command line of cairn-restore.
 */
#ifndef CAIRN_RESTORE_RESTORE_ARGS_H
#define CAIRN_RESTORE_RESTORE_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum restore_command {
    RESTORE_LIST,
    RESTORE_VERIFY,
    RESTORE_XVA,
    RESTORE_DISK,
    RESTORE_HELP,
    RESTORE_VERSION,
};

/* Texts are borrowed from argv. */
struct restore_args {
    enum restore_command command;
    const char *vault; /* file:///..., s3://bucket/prefix */
    const char *key_file;
    const char *endpoint; /* NULL: AWS */
    const char *region;
    const char *credentials_file;
    const char *ca;
    const char *point;  /* NULL: none was named */
    const char *output; /* NULL: none was named; "-": standard output */
    uint32_t disk;
    bool all;       /* list: removed, replaced and bad points too */
    bool json;      /* list, verify */
    bool structure; /* verify: open no data */
    bool full;      /* verify: open all, or fail */
    bool sha1;      /* xva: checksums for old pools */
};

/* ERR_ARGUMENT says what is wrong. */
enum err_code restore_args_parse(int argc, char **argv,
                                 struct restore_args *out, struct err *err);

void restore_args_help(FILE *to);

#endif
