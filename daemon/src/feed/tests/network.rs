//! The network's own pages.

use super::*;

const HTML: [(&str, &str); 1] = [("accept", "text/html")];

#[tokio::test]
async fn the_charter_is_shown_with_every_foreign_word_escaped() {
    let feed = feed_of(&Arc::default());
    let got = send(&feed, Method::GET, "/charter", &HTML).await;
    assert_eq!(got.status, StatusCode::OK);
    let text = got.text();
    assert!(text.contains("Current information\n&#60;b&#62;for all&#60;/b&#62;"), "{text}");
    assert!(text.contains("Nobody owns the &#60;i&#62;list") && !text.contains("<i>list"), "{text}");
    assert!(text.contains("1 organisation already in must vouch") && text.contains("2 organisations must object"));
    assert!(!text.contains("javascript:"), "{text}");
    let json = get_json(&feed, "/charter").await;
    assert_eq!((&json["vouches_needed"], &json["objections_needed"]), (&1.into(), &2.into()));
    assert_eq!(json["founders"][0], "01".repeat(32));
    assert!(json.get("licence").is_none(), "{json}");
}

#[tokio::test]
async fn the_signatories_are_listed_in_pages_with_who_vouches_for_them() {
    let feed = feed_of(&Arc::default());
    let json = get_json(&feed, "/members").await;
    assert_eq!((&json["total_items"], &json["total_pages"], &json["size"]), (&60.into(), &2.into(), &50.into()));
    assert_eq!(json["contents"][0]["founder"], true);
    assert!(json["contents"][0].get("since").is_none());
    assert_eq!(json["contents"][1]["vouched_by"][0], "01".repeat(32));
    assert_eq!(get_json(&feed, "/members?page=2").await["last_page"], true);
    let text = send(&feed, Method::GET, "/members?page=2&per_page=20", &HTML).await.text();
    assert!(text.contains("Pantry 21 &#60;script&#62;") && !text.contains("<script>alert"), "{text}");
    assert!(
        text.contains("/members?page=1&#38;per_page=20") && text.contains("/members?page=3&#38;per_page=20"),
        "{text}"
    );
    assert_eq!(get(&feed, "/members?per_page=251").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_list_of_members_says_whose_records_are_complete_here_and_who_is_silent() {
    let feed = feed_of(&Arc::default());
    let json = get_json(&feed, "/members").await;
    let records = |n: usize| &json["contents"][n]["records"];
    assert_eq!(records(0)["complete_as_of"], records(0)["heard"]);
    assert!(records(0).get("incomplete_since").is_none() && records(1).get("complete_as_of").is_none());
    assert!(records(1)["incomplete_since"].is_string() && records(3).is_null());
    let text = send(&feed, Method::GET, "/members", &HTML).await.text();
    let times = |words: &str| text.matches(words).count();
    assert_eq!(times("All of its records are here as of "), 1);
    assert_eq!(times("may be missing or out of date here since "), 1);
    assert_eq!(times("Nothing has been heard from it since "), 1);
}

#[tokio::test]
async fn the_start_page_leads_to_charter_and_members() {
    let text = send(&feed_of(&Arc::default()), Method::GET, "/", &HTML).await.text();
    assert!(text.contains("href=\"/charter\"") && text.contains("href=\"/members\""), "{text}");
}
