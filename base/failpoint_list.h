/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/failpoint_list.h - every failpoint, once, one on a line: included with
 * FAILPOINT_NAME defined, so it has no include guard. Add yours in the order
 * of the alphabet.
 */
#ifdef FAILPOINT_NAME
FAILPOINT_NAME("backup_committed")
FAILPOINT_NAME("backup_export_begun")
FAILPOINT_NAME("backup_export_done")
FAILPOINT_NAME("backup_object_noted")
FAILPOINT_NAME("backup_point_kept")
FAILPOINT_NAME("backup_snapshot_made")
FAILPOINT_NAME("backup_snapshot_noted")
FAILPOINT_NAME("backup_snapshot_removed")
FAILPOINT_NAME("backup_streamed")
FAILPOINT_NAME("failpoint_test")
FAILPOINT_NAME("failpoint_test_other")
FAILPOINT_NAME("job_end_written")
FAILPOINT_NAME("job_ends")
FAILPOINT_NAME("job_started")
FAILPOINT_NAME("reconcile_pool_swept")
FAILPOINT_NAME("reconcile_vault_cleared")
FAILPOINT_NAME("restore_import_begun")
FAILPOINT_NAME("restore_import_noted")
FAILPOINT_NAME("restore_imported")
FAILPOINT_NAME("restore_made")
FAILPOINT_NAME("restore_nic_made")
FAILPOINT_NAME("restore_release_noted")
FAILPOINT_NAME("restore_released")
FAILPOINT_NAME("restore_streamed")
FAILPOINT_NAME("restore_unmarked")
FAILPOINT_NAME("session_pack_complete")
FAILPOINT_NAME("session_pack_put")
FAILPOINT_NAME("session_part_put")
FAILPOINT_NAME("session_point_after_put")
FAILPOINT_NAME("session_point_put")
FAILPOINT_NAME("session_point_read")
FAILPOINT_NAME("session_point_seen")
FAILPOINT_NAME("session_run_put")
FAILPOINT_NAME("session_upload_created")
#endif
