/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, in the order of the usage text. */
#include "cli/cli_about.h"
#include "cli/cli_args.h"
#include "cli/cli_backup.h"
#include "cli/cli_job.h"
#include "cli/cli_key.h"
#include "cli/cli_point.h"
#include "cli/cli_pool.h"
#include "cli/cli_restore.h"
#include "cli/cli_rule.h"
#include "cli/cli_tenant.h"
#include "cli/cli_token.h"
#include "cli/cli_vault.h"
#include "cli/cli_vm.h"

#define MANY (CLI_ARGS_VALUES - 1)
#define TENANT {"tenant", "T", "of this tenant", 0}
#define VAULT {"vault", "V", "in this vault", 0}
#define SINCE {"since", "TIME", "2026-11-20 or 2026-11-20T08:15:30Z", 0}
#define NO_WAIT                                                                \
    {"no-wait", NULL, "print the job's id and do not wait for it", 0}
#define END {0}

static const struct cli_option tenant_only[] = {TENANT, END};
static const struct cli_option title[] = {
    {"title", "TEXT", "what the tenant is called", 0}, END};
static const struct cli_option tenant_erase[] = {
    {"confirm", "NAME", "the tenant's name again, instead of being asked", 0},
    END};
static const struct cli_option token_add[] = {
    {"tenant", "T", "whose it is", 0},
    {"label", "TEXT", "what it is for", 0},
    {"expires", "WHEN", "30d from now, or 2026-11-20", 0},
    {"out", "FILE", "write it here (mode 0600) instead of printing it", 0},
    END};
static const struct cli_option rule_add[] = {
    {"tenant", "T", "whose the VMs are", 0},
    {"pool", "P", "where they run", 0},
    {"uuid", "U", "this VM", 0},
    {"other-config", "KEY=VALUE", "VMs with this entry in other_config", 0},
    {"tag", "TAG", "VMs with this tag", 0},
    {"name", "PATTERN", "VMs called so; * stands for anything", 0},
    END};
static const struct cli_option rule_list[] = {
    TENANT, {"pool", "P", "of this pool", 0}, END};
static const struct cli_option pool_add[] = {
    {"host", "H", "address of the coordinator (or more, repeated)", 0},
    {"user", "U", "account at the pool", 0},
    {"password-file", "F", "its password; else it is asked for", 0},
    {"fingerprint", "SHA256", "trust this certificate (repeated: these)", 0},
    {"ca", "FILE", "trust what this CA signed, instead of fingerprints", 0},
    {"host-address", "UUID=IP", "connect to this member here (repeated)", 0},
    END};
static const struct cli_option pool_accept[] = {
    {"fingerprint", "SHA256", "accept this one without asking (repeated)", 0},
    END};
static const struct cli_option pool_pause[] = {
    {"off", NULL, "go on again", 0}, END};
static const struct cli_option vault_add[] = {
    {"tenant", "T", "whose it is", 0},
    {"url", "URL", "file:///path or s3://bucket/prefix", 0},
    {"endpoint", "E", "of the object store, https://HOST", 0},
    {"region", "R", "of the bucket", 0},
    {"credentials-file", "F", "keys of the store, in AWS's form", 0},
    {"ca", "FILE", "CA that signed the store's certificate", 0},
    {"lock", "MODE", "none, governance or compliance", 0},
    {"recovery-out", "FILE", "where the recovery key is written, once", 0},
    {"existing", NULL, "the vault is there already", 0},
    {"key-file", "F", "a key that opens the existing vault", 0},
    {"vault-id", "ID", "its id, where keys will be granted to us", 0},
    END};
static const struct cli_option key_plain[] = {VAULT, TENANT, END};
static const struct cli_option key_test[] = {
    VAULT, TENANT, {"key-file", "F", "the key to try", 0}, END};
static const struct cli_option key_export[] = {
    VAULT, TENANT, {"out", "FILE", "where the key is written", 0}, END};
static const struct cli_option vm_list[] = {
    {"pool", "P", "of this pool", 0},
    TENANT,
    {"uncovered", NULL, "only those without any restore point", 0},
    {"contested", NULL, "only those that rules do not agree about", 0},
    END};
static const struct cli_option vm_move[] = {
    {"tenant", "T", "whose it is from now on", 0}, END};
static const struct cli_option backup[] = {
    {"tenant", "T", "all VMs of this tenant", 0}, VAULT, NO_WAIT, END};
static const struct cli_option point_list[] = {
    {"vm", "VM", "of this VM", 0},
    TENANT,
    VAULT,
    {"from", "TIME", "made at or after", 0},
    {"before", "TIME", "made before", 0},
    {"refresh", NULL, "read them from the vaults again", 0},
    END};
static const struct cli_option point_show[] = {TENANT, VAULT, END};
static const struct cli_option point_verify[] = {TENANT, VAULT, NO_WAIT, END};
static const struct cli_option restore[] = {
    {"pool", "P", "to this pool", 0},
    {"to", "TARGET", "to this target", 0},
    {"sr", "[DISK=]SR", "where disks go (repeated)", 0},
    {"network", "NIC=NET", "where a NIC goes, or NIC=none (repeated)", 0},
    {"mac", "keep|new", "the NICs' addresses; new unless said", 0},
    {"uuid", "new|keep", "the VM's uuid; new unless said", 0},
    {"name", "N", "what the VM is called", 0},
    {"start", NULL, "start it afterwards", 0},
    {"dry-run", NULL, "say what would be done", 0},
    {"output", "FILE|-", "write an XVA here instead", 0},
    {"disk", "N", "with --output: this disk alone, raw", 0},
    {"checksum", "xxhash|sha1", "of the XVA; sha1 for old XenServers", 0},
    TENANT,
    VAULT,
    NO_WAIT,
    END};
static const struct cli_option job_list[] = {
    TENANT,
    {"kind", "KIND", "backup, restore or verify", 0},
    {"state", "STATE", "queued, running, succeeded, warned, failed, cancelled",
     0},
    {"unfinished", NULL, "queued and running ones", 0},
    {"failed", NULL, "failed ones", 0},
    SINCE,
    END};
static const struct cli_option job_log[] = {
    {"follow", NULL, "wait for more until the job ends", 'f'}, END};
static const struct cli_option job_retry[] = {
    {"failed", NULL, "all that failed", 0}, TENANT, SINCE, NO_WAIT, END};
static const struct cli_option audit[] = {TENANT, SINCE, END};

/* Wide on purpose: one line per command. */
/* clang-format off */
const struct cli_command cli_commands[] = {
{"tenant", "add", "NAME", 1, 1, title, "Add a tenant", cli_tenant_add},
{"tenant", "list", "", 0, 0, NULL, "List tenants", cli_tenant_list},
{"tenant", "show", "NAME", 1, 1, NULL, "Show a tenant", cli_tenant_show},
{"tenant", "set", "NAME", 1, 1, title, "Change a tenant", cli_tenant_set},
{"tenant", "suspend", "NAME", 1, 1, NULL, "Back up nothing for it, let nobody in", cli_tenant_suspend},
{"tenant", "resume", "NAME", 1, 1, NULL, "End that", cli_tenant_resume},
{"tenant", "leave", "NAME", 1, 1, NULL, "It leaves: no backups, restores go on", cli_tenant_leave},
{"tenant", "erase", "NAME", 1, 1, tenant_erase, "Forget a tenant that has left, and its keys", cli_tenant_erase},
{"token", "add", "", 0, 0, token_add, "Make a token for a tenant", cli_token_add},
{"token", "list", "", 0, 0, tenant_only, "List tokens", cli_token_list},
{"token", "revoke", "ID", 1, 1, NULL, "Let a token in no more", cli_token_revoke},
{"rule", "add", "", 0, 0, rule_add, "Say which VMs are a tenant's", cli_rule_add},
{"rule", "list", "", 0, 0, rule_list, "List rules", cli_rule_list},
{"rule", "remove", "ID", 1, 1, NULL, "Remove a rule", cli_rule_remove},
{"pool", "add", "NAME", 1, 1, pool_add, "Add a pool", cli_pool_add},
{"pool", "list", "", 0, 0, NULL, "List pools", cli_pool_list},
{"pool", "show", "NAME", 1, 1, NULL, "Show a pool and its hosts", cli_pool_show},
{"pool", "test", "NAME", 1, 1, NULL, "Log in and look whether all is there", cli_pool_test},
{"pool", "accept", "NAME", 1, 1, pool_accept, "Trust what its hosts show now", cli_pool_accept},
{"pool", "pause", "NAME", 1, 1, pool_pause, "Begin nothing new at a pool", cli_pool_pause},
{"pool", "remove", "NAME", 1, 1, NULL, "Remove a pool", cli_pool_remove},
{"vault", "add", "NAME", 1, 1, vault_add, "Create a vault, or open an existing one", cli_vault_add},
{"vault", "list", "", 0, 0, tenant_only, "List vaults", cli_vault_list},
{"vault", "show", "NAME", 1, 1, tenant_only, "Show a vault", cli_vault_show},
{"vault", "test", "NAME", 1, 1, tenant_only, "Look whether it opens and its points can be read", cli_vault_test},
{"vault", "remove", "NAME", 1, 1, tenant_only, "Forget a vault; what is stored stays", cli_vault_remove},
{"key", "list", "", 0, 0, key_plain, "List who holds which keys", cli_key_list},
{"key", "test", "", 0, 0, key_test, "Does this key file open the vault?", cli_key_test},
{"key", "grant", "PUBLIC-KEY", 1, 1, key_plain, "Wrap all keys for another gateway or person", cli_key_grant},
{"key", "export", "", 0, 0, key_export, "Make a further key and write it to a file", cli_key_export},
{"vm", "list", "", 0, 0, vm_list, "List VMs and whose they are", cli_vm_list},
{"vm", "show", "VM", 1, 1, NULL, "Show a VM", cli_vm_show},
{"vm", "move", "VM", 1, 1, vm_move, "Give a VM to another tenant", cli_vm_move},
{"backup", NULL, "VM...", 0, MANY, backup, "Back up VMs now", cli_backup},
{"point", "list", "", 0, 0, point_list, "List restore points", cli_point_list},
{"point", "show", "POINT", 1, 1, point_show, "Show a restore point", cli_point_show},
{"point", "verify", "POINT", 1, 1, point_verify, "Read all of it and compare", cli_point_verify},
{"restore", NULL, "POINT", 1, 1, restore, "Restore a VM, or a file of it", cli_restore},
{"job", "list", "", 0, 0, job_list, "List jobs, newest first", cli_job_list},
{"job", "show", "ID", 1, 1, NULL, "Show a job", cli_job_show},
{"job", "log", "ID", 1, 1, job_log, "Print a job's log", cli_job_log},
{"job", "cancel", "ID", 1, 1, NULL, "Ask a job to end", cli_job_cancel},
{"job", "retry", "ID", 0, 1, job_retry, "Do it again", cli_job_retry},
{"status", NULL, "", 0, 0, NULL, "What the gateway is doing", cli_about_status},
{"audit", NULL, "", 0, 0, audit, "Who did what", cli_about_audit},
{"version", NULL, "", 0, 0, NULL, "Versions of both sides", cli_about_version},
{"completion", NULL, "bash", 1, 1, NULL, "Print a completion script", cli_about_completion},
{0},
};
/* clang-format on */
