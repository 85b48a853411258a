/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/failpoint_list.h - every failpoint, once, one on a line: included with
 * FAILPOINT_NAME defined, so it has no include guard. Add yours in the order
 * of the alphabet.
 */
#ifdef FAILPOINT_NAME
FAILPOINT_NAME("failpoint_test")
FAILPOINT_NAME("failpoint_test_other")
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
