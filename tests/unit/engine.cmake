# SPDX-License-Identifier: Apache-2.0
gw_test(test_gates gw_gateway)
gw_test(test_job_owner gw_gateway)
gw_test(test_jobs_count gw_gateway)
gw_test(test_place gw_gateway)
gw_test(test_restore_plan gw_gateway)
gw_test(test_learn gw_gateway)
gw_threaded_test(test_vaults_task gw_gateway)
