/* SPDX-License-Identifier: Apache-2.0 */
/* cairn-restore: a vault and a key file are enough. */
#include <stdio.h>

#include "base/guard.h"
#include "restore/restore_args.h"
#include "restore/restore_disk.h"
#include "restore/restore_list.h"
#include "restore/restore_site.h"
#include "restore/restore_verify.h"
#include "restore/restore_xva.h"

static void run(struct restore_site *site, const struct restore_args *args)
{
    switch (args->command) {
    case RESTORE_LIST:
        restore_list(site, args);
        break;
    case RESTORE_VERIFY:
        restore_verify(site, args);
        break;
    case RESTORE_XVA:
        restore_xva(site, args);
        break;
    case RESTORE_DISK:
        restore_disk(site, args);
        break;
    case RESTORE_HELP:
    case RESTORE_VERSION:
        break;
    }
}

int main(int argc, char **argv)
{
    struct restore_args args;
    struct restore_site site;
    struct err err = {0};

    guard_process();
    if (restore_args_parse(argc, argv, &args, &err) != ERR_OK) {
        fprintf(stderr, "cairn-restore: %s (--help tells more)\n", err.text);
        return EXIT_USAGE;
    }
    if (args.command == RESTORE_HELP) {
        restore_args_help(stdout);
        return EXIT_OK;
    }
    if (args.command == RESTORE_VERSION) {
        puts("cairn-restore " CAIRN_VERSION);
        return EXIT_OK;
    }
    if (restore_site_init(&site, &args))
        run(&site, &args);
    /* Damage that verify found has been said, item by item. */
    if (site.exit != EXIT_OK && site.err.code != ERR_OK)
        fprintf(stderr, "cairn-restore: %s\n",
                site.interrupted ? "interrupted" : site.err.text);
    restore_site_fini(&site);
    return (int)site.exit;
}
