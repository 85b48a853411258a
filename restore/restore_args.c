/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_args.h"

#include <getopt.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"

enum {
    OPTION_VAULT = 256,
    OPTION_KEY_FILE,
    OPTION_ENDPOINT,
    OPTION_REGION,
    OPTION_CREDENTIALS,
    OPTION_CA,
    OPTION_DISK,
    OPTION_ALL,
    OPTION_JSON,
    OPTION_STRUCTURE,
    OPTION_FULL,
    OPTION_SHA1,
    OPTION_VERSION,
};

static const struct option options[] = {
    {"vault", required_argument, NULL, OPTION_VAULT},
    {"key-file", required_argument, NULL, OPTION_KEY_FILE},
    {"endpoint", required_argument, NULL, OPTION_ENDPOINT},
    {"region", required_argument, NULL, OPTION_REGION},
    {"credentials-file", required_argument, NULL, OPTION_CREDENTIALS},
    {"ca", required_argument, NULL, OPTION_CA},
    {"output", required_argument, NULL, 'o'},
    {"disk", required_argument, NULL, OPTION_DISK},
    {"all", no_argument, NULL, OPTION_ALL},
    {"json", no_argument, NULL, OPTION_JSON},
    {"structure", no_argument, NULL, OPTION_STRUCTURE},
    {"full", no_argument, NULL, OPTION_FULL},
    {"sha1", no_argument, NULL, OPTION_SHA1},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "cairn-restore gives back what a Cairn vault holds: a vault and a key "
    "file are\n"
    "enough, no gateway.\n"
    "\n"
    "usage: cairn-restore --vault URL --key-file FILE [OPTION..] COMMAND\n"
    "\n"
    "  list                            the restore points\n"
    "  verify [POINT]                  look for damage, in all or one point\n"
    "  xva POINT --output FILE|-       the whole VM, for any XenServer\n"
    "  disk POINT DISK --output FILE|- one disk, raw; DISK is its position\n"
    "\n"
    "POINT is an id of the list, or VM@latest, or VM@2026-11-20 (the newest "
    "of that\n"
    "day, UTC), where VM is a uuid, a name or POOL/NAME.\n"
    "\n"
    "  --vault URL              file:///srv/backup or s3://bucket/prefix\n"
    "  --key-file FILE          the recovery key, or any key of this vault\n"
    "  --endpoint URL           S3 other than AWS: https://s3.example.org\n"
    "  --region NAME            S3 region\n"
    "  --credentials-file FILE  S3 keys, in the form of ~/.aws/credentials\n"
    "  --ca FILE                CAs to believe in place of the system's\n"
    "  -o, --output FILE        a new file; - is standard output\n"
    "  --all                    list: points that are not shown, too\n"
    "  --structure              verify: tables and digests, no data\n"
    "  --full                   verify: open every chunk (what is done anyway "
    "where\n"
    "                           the key can read the data)\n"
    "  --sha1                   xva: checksums for pools older than 8.1\n"
    "  --json                   list, verify: for programs\n"
    "  --help, --version\n"
    "\n"
    "exit codes: 0 ok, 1 failed, 2 usage, 4 no such point, 5 denied,\n"
    "7 ambiguous or exists, 8 damage found, 9 cold, 10 no such vault, 11 wrong "
    "or\n"
    "missing key, 13 store unreachable, 75 try again, 130 interrupted\n";

void restore_args_help(FILE *to)
{
    fputs(help, to);
}

static enum err_code usage(struct err *err, const char *what, const char *which)
{
    return err_set(err, ERR_ARGUMENT, 0, "%s%s", what, which);
}

static enum err_code take_disk(struct restore_args *a, const char *text,
                               struct err *err)
{
    uint64_t n;

    if (!parse_u64(text, 0, UINT32_MAX, &n))
        return usage(err, "a disk is named by its position, not ", text);
    a->disk = (uint32_t)n;
    return ERR_OK;
}

static enum err_code take_option(struct restore_args *a, int option,
                                 bool *disk_named, struct err *err)
{
    switch (option) {
    case OPTION_VAULT:
        a->vault = optarg;
        break;
    case OPTION_KEY_FILE:
        a->key_file = optarg;
        break;
    case OPTION_ENDPOINT:
        a->endpoint = optarg;
        break;
    case OPTION_REGION:
        a->region = optarg;
        break;
    case OPTION_CREDENTIALS:
        a->credentials_file = optarg;
        break;
    case OPTION_CA:
        a->ca = optarg;
        break;
    case OPTION_DISK:
        *disk_named = true;
        return take_disk(a, optarg, err);
    case OPTION_ALL:
        a->all = true;
        break;
    case OPTION_JSON:
        a->json = true;
        break;
    case OPTION_STRUCTURE:
        a->structure = true;
        break;
    case OPTION_FULL:
        a->full = true;
        break;
    case OPTION_SHA1:
        a->sha1 = true;
        break;
    case 'o':
        a->output = optarg;
        break;
    default:
        return usage(err, "that is no option of cairn-restore", "");
    }
    return ERR_OK;
}

static bool find_command(const char *word, enum restore_command *out)
{
    static const char *const words[] = {"list", "verify", "xva", "disk"};

    for (unsigned i = 0; i < BYTES_COUNT(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum restore_command)i;
            return true;
        }
    return false;
}

/* Whether what was given goes with the command. */
static enum err_code check(const struct restore_args *a, bool disk_named,
                           struct err *err)
{
    bool writes = a->command == RESTORE_XVA || a->command == RESTORE_DISK;

    if (!a->vault)
        return usage(err, "--vault says where the vault lies", "");
    if (!a->key_file)
        return usage(err, "--key-file names the vault's key", "");
    if (writes && !a->point)
        return usage(err, "which point? `list` shows them", "");
    if (a->command == RESTORE_DISK && !disk_named)
        return usage(err, "which disk of the point? its position, as 0", "");
    if (writes && !a->output)
        return usage(err, "--output FILE says where to, - is standard output",
                     "");
    if (!writes && a->output)
        return usage(err, "--output goes with xva and disk", "");
    if (a->structure && a->full)
        return usage(err, "--structure and --full exclude one another", "");
    if ((a->structure || a->full) && a->command != RESTORE_VERIFY)
        return usage(err, "--structure and --full go with verify", "");
    if (a->sha1 && a->command != RESTORE_XVA)
        return usage(err, "--sha1 goes with xva", "");
    if (disk_named && a->command != RESTORE_DISK)
        return usage(err, "--disk goes with disk", "");
    if (a->all && a->command != RESTORE_LIST)
        return usage(err, "--all goes with list", "");
    if (a->json && writes)
        return usage(err, "--json goes with list and verify", "");
    return ERR_OK;
}

enum err_code restore_args_parse(int argc, char **argv,
                                 struct restore_args *out, struct err *err)
{
    struct restore_args a = {0};
    bool disk_named = false;
    int option, words;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (option == 'h' || option == OPTION_VERSION) {
            out->command = option == 'h' ? RESTORE_HELP : RESTORE_VERSION;
            return ERR_OK;
        }
        if (option == '?')
            return usage(err, "no such option, or its value is missing: ",
                         argv[optind - 1]);
        if (take_option(&a, option, &disk_named, err) != ERR_OK)
            return err->code;
    }
    words = argc - optind;
    if (words < 1)
        return usage(err, "list, verify, xva or disk?", "");
    if (!find_command(argv[optind], &a.command))
        return usage(err, "no such command: ", argv[optind]);
    if (words > 1 && a.command != RESTORE_LIST)
        a.point = argv[optind + 1];
    if (words > 2 && a.command == RESTORE_DISK && !disk_named) {
        disk_named = true;
        if (take_disk(&a, argv[optind + 2], err) != ERR_OK)
            return err->code;
        words--;
    }
    if (words > (a.command == RESTORE_LIST ? 1 : 2))
        return usage(err, "too many words: ", argv[argc - 1]);
    if (check(&a, disk_named, err) != ERR_OK)
        return err->code;
    *out = a;
    return ERR_OK;
}
