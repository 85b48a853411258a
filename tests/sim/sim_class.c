/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_class.c - the field tables.
 *
 * A field reads name:TYPE, then any of "!" (settable), "*" (the constructor
 * requires it), "=text" (default). TYPE: s text, i int, b bool, d date, f real,
 * r reference, S set of texts, R set of references, M map, and <Class.field>:
 * the set of all objects of Class whose field points here.
 */
#include "tests/sim/sim_class.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/sim/sim_mem.h"

static const struct {
    const char *name, *fields;
} tables[] = {
    {"session",
     "uuid:s this_host:r this_user:r last_active:d pool:b other_config:M! "
     "is_local_superuser:b subject:r validation_time:d auth_user_sid:s "
     "auth_user_name:s rbac_permissions:S tasks:<task.session> parent:r "
     "originator:s client_certificate:b"},
    {"task",
     "uuid:s name_label:s name_description:s allowed_operations:S "
     "current_operations:M created:d finished:d status:s=pending session:r "
     "resident_on:r progress:f! type:s=<none/> result:s error_info:S "
     "other_config:M! subtask_of:r subtasks:<task.subtask_of> backtrace:s"},
    {"pool",
     "uuid:s name_label:s! name_description:s! master:r default_SR:r! "
     "suspend_image_SR:r! crash_dump_SR:r! other_config:M! ha_enabled:b "
     "ha_configuration:M ha_statefiles:S ha_host_failures_to_tolerate:i "
     "ha_plan_exists_for:i ha_allow_overcommit:b! ha_overcommitted:b blobs:M "
     "tags:S! gui_config:M! health_check_config:M! wlb_url:s wlb_username:s "
     "wlb_enabled:b! wlb_verify_cert:b! redo_log_enabled:b redo_log_vdi:r "
     "vswitch_controller:s restrictions:M metadata_VDIs:R "
     "ha_cluster_stack:s allowed_operations:S current_operations:M "
     "guest_agent_config:M cpu_info:M policy_no_vendor_device:b! "
     "live_patching_disabled:b! igmp_snooping_enabled:b uefi_certificates:s "
     "is_psr_pending:b! tls_verification_enabled:b=1 repositories:R "
     "client_certificate_auth_enabled:b client_certificate_auth_name:s "
     "repository_proxy_url:s repository_proxy_username:s "
     "migration_compression:b! coordinator_bias:b!=1 "
     "telemetry_uuid:s telemetry_frequency:s=weekly "
     "telemetry_next_collection:d last_update_sync:d "
     "update_sync_frequency:s=weekly update_sync_day:i "
     "update_sync_enabled:b"},
    {"host",
     "uuid:s name_label:s! name_description:s! memory_overhead:i "
     "allowed_operations:S current_operations:M API_version_major:i "
     "API_version_minor:i API_version_vendor:s=XenSource "
     "API_version_vendor_implementation:M enabled:b=1 software_version:M "
     "other_config:M! capabilities:S cpu_configuration:M sched_policy:s "
     "supported_bootloaders:S resident_VMs:<VM.resident_on> logging:M! "
     "PIFs:<PIF.host> suspend_image_sr:r! crash_dump_sr:r! crashdumps:R "
     "patches:R updates:R PBDs:<PBD.host> host_CPUs:R cpu_info:M hostname:s "
     "address:s metrics:r license_params:M ha_statefiles:S "
     "ha_network_peers:S blobs:M tags:S! external_auth_type:s "
     "external_auth_service_name:s external_auth_configuration:M edition:s "
     "license_server:M! bios_strings:M power_on_mode:s power_on_config:M "
     "local_cache_sr:r chipset_info:M PCIs:R PGPUs:R PUSBs:R ssl_legacy:b "
     "guest_VCPUs_params:M! display:s=enabled virtual_hardware_platform_"
     "versions:S control_domain:r updates_requiring_reboot:R features:R "
     "iscsi_iqn:s! multipathing:b! uefi_certificates:s certificates:R "
     "editions:S pending_guidances:S tls_verification_enabled:b=1 "
     "last_software_update:d https_only:b numa_affinity_policy:s"
     "=default_policy latest_synced_updates_applied:s=unknown"},
    {"host_metrics",
     "uuid:s memory_total:i memory_free:i live:b=1 last_updated:d "
     "other_config:M!"},
    {"VM",
     "uuid:s allowed_operations:S current_operations:M name_label:s! "
     "name_description:s! power_state:s=Halted user_version:i!* "
     "is_a_template:b!* is_default_template:b! suspend_VDI:r "
     "resident_on:r scheduled_to_be_resident_on:r affinity:r!* "
     "memory_overhead:i memory_target:i memory_static_max:i* "
     "memory_dynamic_max:i* memory_dynamic_min:i* memory_static_min:i* "
     "VCPUs_params:M!* VCPUs_max:i!* VCPUs_at_startup:i!* "
     "actions_after_softreboot:s!=soft_reboot "
     "actions_after_shutdown:s!*=destroy actions_after_reboot:s!*=restart "
     "actions_after_crash:s!*=restart consoles:<console.VM> VIFs:<VIF.VM> "
     "VBDs:<VBD.VM> VUSBs:<VUSB.VM> crash_dumps:R VTPMs:<VTPM.VM> "
     "PV_bootloader:s!* PV_kernel:s!* PV_ramdisk:s!* PV_args:s!* "
     "PV_bootloader_args:s!* PV_legacy_args:s!* HVM_boot_policy:s!* "
     "HVM_boot_params:M!* HVM_shadow_multiplier:f!=1 platform:M!* "
     "PCI_bus:s!* other_config:M!* domid:i=-1 domarch:s last_boot_CPU_flags:M "
     "is_control_domain:b metrics:r guest_metrics:r last_booted_record:s "
     "recommendations:s!* xenstore_data:M! ha_always_run:b! "
     "ha_restart_priority:s! is_a_snapshot:b snapshot_of:r "
     "snapshots:<VM.snapshot_of> snapshot_time:d transportable_snapshot_id:s "
     "blobs:M tags:S! blocked_operations:M! snapshot_info:M "
     "snapshot_metadata:s parent:r children:<VM.parent> bios_strings:M "
     "protection_policy:r! is_snapshot_from_vmpp:b snapshot_schedule:r! "
     "is_vmss_snapshot:b appliance:r! start_delay:i! shutdown_delay:i! "
     "order:i! VGPUs:R attached_PCIs:R suspend_SR:r! version:i! "
     "generation_id:s hardware_platform_version:i! has_vendor_device:b "
     "requires_reboot:b reference_label:s domain_type:s!=hvm NVRAM:M! "
     "pending_guidances:S recommended_guidances:S groups:R"},
    {"VM_metrics",
     "uuid:s memory_actual:i VCPUs_number:i VCPUs_utilisation:M VCPUs_CPU:M "
     "VCPUs_params:M VCPUs_flags:M state:S start_time:d install_time:d "
     "last_updated:d other_config:M! hvm:b nested_virt:b nomigrate:b "
     "current_domain_type:s=hvm"},
    {"VM_guest_metrics",
     "uuid:s os_version:M PV_drivers_version:M PV_drivers_up_to_date:b "
     "memory:M disks:M networks:M other:M last_updated:d other_config:M! "
     "live:b can_use_hotplug_vbd:s=unspecified "
     "can_use_hotplug_vif:s=unspecified PV_drivers_detected:b"},
    {"VBD",
     "uuid:s allowed_operations:S current_operations:M VM:r* VDI:r* device:s "
     "userdevice:s!* bootable:b!* mode:s!* type:s!* unpluggable:b!=1 "
     "storage_lock:b empty:b* other_config:M!* currently_attached:b "
     "status_code:i status_detail:s runtime_properties:M "
     "qos_algorithm_type:s!* qos_algorithm_params:M!* "
     "qos_supported_algorithms:S metrics:r"},
    {"VDI",
     "uuid:s name_label:s! name_description:s! allowed_operations:S "
     "current_operations:M SR:r* VBDs:<VBD.VDI> crash_dumps:R "
     "virtual_size:i* physical_utilisation:i type:s*=user sharable:b!* "
     "read_only:b!* other_config:M!* storage_lock:b location:s managed:b=1 "
     "missing:b parent:r xenstore_data:M! sm_config:M! is_a_snapshot:b "
     "snapshot_of:r snapshots:<VDI.snapshot_of> snapshot_time:d tags:S! "
     "allow_caching:b! on_boot:s!=persist metadata_of_pool:r "
     "metadata_latest:b is_tools_iso:b cbt_enabled:b"},
    {"SR",
     "uuid:s name_label:s! name_description:s! allowed_operations:S "
     "current_operations:M VDIs:<VDI.SR> PBDs:<PBD.SR> virtual_allocation:i "
     "physical_utilisation:i physical_size:i type:s content_type:s=user "
     "shared:b other_config:M! tags:S! sm_config:M! blobs:M "
     "local_cache_enabled:b introduced_by:r clustered:b is_tools_sr:b"},
    {"SM", "uuid:s name_label:s name_description:s type:s vendor:s copyright:s "
           "version:s required_api_version:s configuration:M capabilities:S "
           "features:M other_config:M! driver_filename:s "
           "required_cluster_stack:S host_pending_features:M "
           "supported_image_formats:S"},
    {"PBD", "uuid:s host:r SR:r device_config:M currently_attached:b=1 "
            "other_config:M!"},
    {"network",
     "uuid:s name_label:s! name_description:s! allowed_operations:S "
     "current_operations:M VIFs:<VIF.network> PIFs:<PIF.network> MTU:i!=1500 "
     "other_config:M! bridge:s managed:b=1 blobs:M tags:S! "
     "default_locking_mode:s!=unlocked assigned_ips:M purpose:S"},
    {"PIF",
     "uuid:s device:s network:r host:r MAC:s MTU:i=1500 VLAN:i=-1 metrics:r "
     "physical:b=1 currently_attached:b=1 ip_configuration_mode:s=DHCP IP:s "
     "netmask:s gateway:s DNS:s bond_slave_of:r bond_master_of:R "
     "VLAN_master_of:r VLAN_slave_of:R management:b other_config:M! "
     "disallow_unplug:b tunnel_access_PIF_of:R tunnel_transport_PIF_of:R "
     "ipv6_configuration_mode:s=None IPv6:S ipv6_gateway:s "
     "primary_address_type:s=IPv4 managed:b=1 properties:M capabilities:S "
     "igmp_snooping_status:s=unknown sriov_physical_PIF_of:R "
     "sriov_logical_PIF_of:R PCI:r"},
    {"VIF",
     "uuid:s allowed_operations:S current_operations:M device:s* network:r* "
     "VM:r* MAC:s* MTU:i* other_config:M!* currently_attached:b "
     "status_code:i status_detail:s runtime_properties:M "
     "qos_algorithm_type:s!* qos_algorithm_params:M!* "
     "qos_supported_algorithms:S metrics:r MAC_autogenerated:b "
     "locking_mode:s=network_default ipv4_allowed:S ipv6_allowed:S "
     "ipv4_configuration_mode:s=None ipv4_addresses:S ipv4_gateway:s "
     "ipv6_configuration_mode:s=None ipv6_addresses:S ipv6_gateway:s"},
    {"console", "uuid:s protocol:s=rfb location:s VM:r other_config:M!"},
    {"VTPM", "uuid:s allowed_operations:S current_operations:M VM:r backend:r "
             "persistence_backend:s=xapi is_unique:b is_protected:b"},
    {"VUSB",
     "uuid:s allowed_operations:S current_operations:M VM:r USB_group:r "
     "other_config:M! currently_attached:b"},
    {"message", "uuid:s name:s priority:i cls:s obj_uuid:s timestamp:d body:s"},
    {"role", "uuid:s name_label:s name_description:s subroles:R is_internal:b"},
    {"subject", "uuid:s subject_identifier:s other_config:M roles:R"},
};

static const struct {
    char letter;
    enum sim_kind kind;
    bool is_ref;
} types[] = {
    {'s', SIM_TEXT, false}, {'i', SIM_INT, false},  {'b', SIM_BOOL, false},
    {'d', SIM_DATE, false}, {'f', SIM_REAL, false}, {'r', SIM_TEXT, true},
    {'S', SIM_SET, false},  {'R', SIM_SET, true},   {'M', SIM_MAP, false},
};

/* One "name:TYPE..." of len bytes. */
static void field_parse(struct sim_field *f, const char *text, size_t len)
{
    const char *p = memchr(text, ':', len), *end = text + len;

    f->name = sim_mem_dup_n(text, (size_t)(p - text));
    p++;
    if (*p == '<') {
        const char *close = memchr(p, '>', (size_t)(end - p));

        f->kind = SIM_SET;
        f->is_ref = f->derived = true;
        f->other = sim_mem_dup_n(p + 1, (size_t)(close - p - 1));
        p = close + 1;
    } else {
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            if (types[i].letter == *p) {
                f->kind = types[i].kind;
                f->is_ref = types[i].is_ref;
            }
        }
        p++;
    }
    for (; p < end && *p != '='; p++) {
        f->settable |= *p == '!';
        f->required |= *p == '*';
    }
    if (p < end)
        f->fallback = sim_mem_dup_n(p + 1, (size_t)(end - p - 1));
}

static void class_parse(struct sim_class *c, const char *name,
                        const char *fields)
{
    c->name = name;
    for (const char *p = fields; *p;) {
        size_t len = strcspn(p, " ");

        c->fields =
            sim_mem_grow(c->fields, (c->count + 1) * sizeof(*c->fields));
        memset(&c->fields[c->count], 0, sizeof(*c->fields));
        field_parse(&c->fields[c->count++], p, len);
        p += len + strspn(p + len, " ");
    }
}

/* Tell VBD.VM that VM.VBDs follows it. */
static void schema_link(struct sim_schema *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct sim_class *c = &s->classes[i];

        for (size_t k = 0; k < c->count; k++) {
            const char *other = c->fields[k].other, *dot;
            char *name;
            struct sim_class *from;
            int field;

            if (!other)
                continue;
            dot = strchr(other, '.');
            name = sim_mem_dup_n(other, (size_t)(dot - other));
            from = sim_class_find(s, name);
            field = from ? sim_class_field(from, dot + 1) : -1;
            free(name);
            if (field < 0)
                abort(); /* the table above is wrong */
            from->fields[field].back_class = c;
            from->fields[field].back_field = k;
        }
    }
}

struct sim_schema *sim_class_schema_new(void)
{
    struct sim_schema *s = sim_mem_new(sizeof(*s));

    s->count = sizeof(tables) / sizeof(tables[0]);
    s->classes = sim_mem_new(s->count * sizeof(*s->classes));
    for (size_t i = 0; i < s->count; i++)
        class_parse(&s->classes[i], tables[i].name, tables[i].fields);
    schema_link(s);
    return s;
}

void sim_class_schema_free(struct sim_schema *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        for (size_t k = 0; k < s->classes[i].count; k++) {
            free(s->classes[i].fields[k].name);
            free(s->classes[i].fields[k].other);
            free(s->classes[i].fields[k].fallback);
        }
        free(s->classes[i].fields);
    }
    free(s->classes);
    free(s);
}

struct sim_class *sim_class_find(const struct sim_schema *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->classes[i].name, name) == 0)
            return &s->classes[i];
    return NULL;
}

struct sim_class *sim_class_find_any_case(const struct sim_schema *s,
                                          const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcasecmp(s->classes[i].name, name) == 0)
            return &s->classes[i];
    return NULL;
}

int sim_class_field(const struct sim_class *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->fields[i].name, name) == 0)
            return (int)i;
    return -1;
}

struct sim_value *sim_class_fallback(const struct sim_field *f)
{
    const char *text = f->fallback;

    switch (f->kind) {
    case SIM_TEXT:
        return sim_value_text(text ? text : f->is_ref ? SIM_NULL_REF : "");
    case SIM_INT:
    case SIM_I4:
        return sim_value_int(text ? strtoll(text, NULL, 10) : 0);
    case SIM_BOOL:
        return sim_value_bool(text && *text == '1');
    case SIM_REAL:
        return sim_value_real(text ? strtod(text, NULL) : 0);
    case SIM_DATE:
        return sim_value_date("19700101T00:00:00Z");
    case SIM_SET:
        return sim_value_set();
    case SIM_MAP:
        return sim_value_map();
    }
    return NULL;
}
