//! What every backend of the store has to do. A backend joins by implementing `Backend` and
//! adding one `suite!` line.

#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

mod conformance {
    pub(crate) mod admit;
    pub(crate) mod audit;
    pub(crate) mod authority;
    pub(crate) mod backend;
    pub(crate) mod intent;
    pub(crate) mod journal;
    pub(crate) mod lease;
    pub(crate) mod orders;
    pub(crate) mod outcome;
    pub(crate) mod project;
    pub(crate) mod role;
    pub(crate) mod serial;
    pub(crate) mod token;
    pub(crate) mod user;
    pub(crate) mod withdrawal;
}

use conformance::backend::{Backend, Sqlite};
use conformance::{
    admit, audit, authority, intent, journal, lease, orders, outcome, project, role,
};
use conformance::{serial, token, user, withdrawal};

macro_rules! suite {
    ($backend:ident: $($module:ident::$case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $module::$case(&$backend::new().await).await;
            }
        )+
    };
}

suite! { Sqlite:
    project::a_project_is_known_by_its_first_file,
    project::names_that_look_alike_are_found,
    project::the_size_of_a_project_is_that_of_its_files,
    project::limits_are_kept_for_each_project,
    admit::an_admitted_file_is_in_catalogue_and_journal,
    admit::the_same_file_again_is_the_same_row,
    admit::other_bytes_under_a_taken_name_change_nothing,
    admit::the_same_name_in_another_project_is_another_file,
    admit::of_many_racing_for_a_name_one_is_recorded,
    admit::many_names_at_once_get_positions_without_gaps,
    admit::many_are_recorded_in_their_order,
    admit::many_become_visible_together,
    admit::the_catalogue_comes_by_name_and_in_pages,
    admit::what_was_admitted_is_there_after_reopening,
    audit::every_field_comes_back,
    audit::rows_come_in_pages_and_by_project,
    audit::what_strangers_choose_is_kept_short,
    authority::what_a_token_may_upload,
    authority::a_token_of_several_projects_uploads_to_these,
    authority::the_first_upload_makes_an_owner,
    authority::of_two_who_race_for_a_project_one_becomes_its_owner,
    authority::a_token_that_ends_during_its_upload_brings_nothing,
    authority::an_upload_is_written_down_with_its_file,
    journal::rows_come_in_order_and_in_pages,
    journal::a_row_keeps_every_field,
    journal::an_admission_wakes_the_one_who_waits,
    journal::an_admission_before_waiting_is_not_missed,
    journal::an_admission_by_another_process_is_noticed,
    lease::fences_strictly_grow,
    lease::fences_grow_across_reopening,
    lease::an_old_fence_can_record_nothing,
    lease::an_old_fence_can_complete_nothing,
    intent::an_intent_comes_back_byte_for_byte,
    intent::an_intent_survives_reopening,
    intent::a_second_intent_waits_for_the_first,
    intent::a_repeated_path_records_nothing,
    intent::completing_what_is_not_recorded_changes_nothing,
    intent::a_completed_intent_stays_until_it_is_forgotten,
    intent::kept_objects_go_with_the_snapshot_that_takes_them_in,
    intent::a_discarded_intent_leaves_its_rows_pending,
    orders::they_come_in_order_and_keep_every_field,
    orders::they_are_recorded_all_or_none,
    orders::an_answer_is_given_once_and_to_those_who_asked,
    orders::a_journal_that_was_lost_goes_on_behind_what_is_signed,
    orders::an_old_journal_that_was_written_on_leaves_nobody_waiting,
    orders::the_catalogue_follows_and_can_follow_twice,
    orders::certificates_follow_in_the_catalogue,
    orders::what_was_followed_raises_the_serial_and_takes_no_position,
    orders::what_ceremonies_bring_waits_for_its_answer,
    outcome::a_published_file_is_marked_and_its_project_listed,
    outcome::a_refused_file_leaves_its_name_free,
    outcome::refusing_a_published_row_takes_nothing_away,
    outcome::an_outcome_is_said_once,
    outcome::waiting_ends_with_the_outcome,
    outcome::waiting_sees_the_outcome_of_another_process,
    outcome::waiting_ends_with_its_time,
    outcome::refusals_need_no_snapshot,
    role::a_project_can_be_made_before_its_files,
    role::roles_are_given_changed_and_taken,
    role::an_owner_is_left,
    serial::a_project_is_at_its_last_published_change,
    serial::a_refused_change_is_none,
    token::a_token_is_known_by_its_text_alone,
    token::near_misses_are_unknown,
    token::a_name_is_given_once,
    token::every_field_of_a_token_is_listed_but_its_secret,
    token::a_token_ends,
    token::a_use_is_noted_now_and_then,
    user::names_are_plain,
    user::users_are_added_disabled_and_enabled,
    user::reading_is_open_until_it_is_closed,
    withdrawal::a_removal_counts_once_it_is_published,
    withdrawal::a_refused_removal_changes_nothing,
    withdrawal::what_is_not_there_is_not_removed,
    withdrawal::a_removed_name_takes_the_same_bytes_alone,
    withdrawal::a_refused_return_leaves_the_name_to_its_bytes,
    withdrawal::a_file_can_go_before_it_was_published,
    withdrawal::a_yank_counts_once_it_is_published,
    withdrawal::every_change_wakes_the_one_who_waits,
}
